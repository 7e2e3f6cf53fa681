"""A number with its interval: the type of every estimate of the package."""

from dataclasses import dataclass

__all__ = ["Interval"]


@dataclass(frozen=True)
class Interval:
    """A number and its interval; a format such as `f"{interval:.3f}"` is that of each of its three numbers.

    Subclasses add what else is to be recorded of an estimate, such as how many trials a share is of.

    Example:
        >>> found = Interval(0.25, 0.2, 0.3125)
        >>> print(found)
        0.25 [0.2, 0.312]
        >>> f"{found.scaled(100):.1f}"
        '25.0 [20.0, 31.2]'
        >>> 0.3 in found
        True
    """

    value: float
    """The estimate."""
    low: float
    """Lower end of the interval."""
    high: float
    """Upper end of the interval."""

    def __contains__(self, number: float | int) -> bool:
        return self.low <= number <= self.high

    def __format__(self, spec: str) -> str:
        return f"{self.value:{spec}} [{self.low:{spec}}, {self.high:{spec}}]" if spec else str(self)

    def __str__(self) -> str:
        return f"{self:.3g}"

    def scaled(self, factor: float | int) -> "Interval":
        """The interval of so many times the number, for a factor above 0."""
        return Interval(factor * self.value, factor * self.low, factor * self.high)
