"""Numbers formatted for people: three significant digits, thousands with commas, shares in percent."""

import math

from latentry.numerics.interval import Interval

__all__ = ["interval", "number", "percent"]


def number(value: float | int, digits: int = 3) -> str:
    """A number with so many significant digits: 0.0313, 1,810, 2.1e-07.

    Whole numbers keep all their digits.

    Example:
        >>> number(0.0312569), number(1810.2), number(2.1e-07)
        ('0.0313', '1,810', '2.1e-07')
    """
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "infinite" if value > 0 else "-infinite"
    if isinstance(value, int) or abs(value) >= 10**digits:
        return f"{value:,.0f}"
    if 0 < abs(value) < 1e-4:
        return f"{value:.1e}"
    return f"{value:.{digits}g}"


def percent(value: float | int, digits: int = 3) -> str:
    """A share in percent: 0.9834 is 98.3 %; what is not all is never rounded to 100 %, what is not nothing never to 0 %.

    Example:
        >>> percent(0.9834), percent(0.99999), percent(0.0)
        ('98.3 %', '> 99.9 %', '0 %')
    """
    if not math.isfinite(value):
        return "not a number"
    rounded = float(f"{100 * value:.{digits}g}")
    if rounded == 100 and value < 1:
        return "> 99.9 %"
    return f"{rounded:.{digits}g} %"


def interval(found: Interval) -> str:
    """A number and its interval with as many decimals as the interval is known to: 0.257 [0.251, 0.263].

    Example:
        >>> interval(Interval(0.25712, 0.2508, 0.2629))
        '0.257 [0.251, 0.263]'
    """
    value, low, high = found.value, found.low, found.high
    width = high - low
    if not math.isfinite(width) or width <= 0:
        return f"{number(value)} [{number(low)}, {number(high)}]"
    decimals = max(0, 1 - math.floor(math.log10(width)))
    if decimals > 6:
        return f"{value:.3g} [{low:.3g}, {high:.3g}]"
    return f"{value:,.{decimals}f} [{low:,.{decimals}f}, {high:,.{decimals}f}]"
