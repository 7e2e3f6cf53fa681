r"""Are the data in the range in which the generator makes them?

Pixels come in [0, 255], [0, 1] or [-1, 1], and a tensor does not say in which. Recovery from data in another range than the
generator's runs without complaint and finds nothing. So the range of both sides is read, each by the same signs, and a range
is named only on evidence that no proper data of another range give:

- [0, 255]: nothing below 0, something above 16, and a hundredth of all above 2; images, or whole numbers.
- [-1, 1]: everything within, and most items fall below -0.25.
- [0, 1], the sure sign: eight or more levels, all of them multiples of 1/255. Pixels v = 0 .. 255 in [-1, 1] are
  2 v / 255 - 1: *odd* multiples of 1/255, every one. An even multiple, such as the black of any image in [0, 1], is never
  among them; and where all are odd, the data are not in [0, 1].
- [0, 1], the sign of several (three or more images, unrounded): nothing below 0, half of them come within 0.05 of it,
  something is above 0.5. Bright images in [-1, 1] may all lie above 0 by their nature, but nothing makes them end there.

Where no sign is seen nothing is concluded: data of less than 64 elements, a single unrounded image in [0, 1] (which may as
well be a bright one in [-1, 1]), images standardised by mean and variance, vectors and signals that are not whole levels.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

__all__ = ["Range", "apparent_range", "check_apparent_range", "check_range", "check_same_range", "on_eight_bit_grid"]

Range = Literal["[0, 255]", "[0, 1]", "[-1, 1]"]
"""Ranges that images come in."""

_CONVERSIONS = {
    ("[0, 255]", "[-1, 1]"): "x / 127.5 - 1",
    ("[0, 255]", "[0, 1]"): "x / 255",
    ("[0, 1]", "[-1, 1]"): "2 * x - 1",
    ("[0, 1]", "[0, 255]"): "255 * x",
    ("[-1, 1]", "[0, 1]"): "(x + 1) / 2",
    ("[-1, 1]", "[0, 255]"): "127.5 * (x + 1)",
}
_LOOKED_AT = 64
"""Items that are looked at, so that the check costs nothing beside recovery."""
_FEWEST_ELEMENTS = 64
_FEWEST_ITEMS = 3
_FEWEST_LEVELS = 8
_OVERSHOOT = 0.25
"""How far a generator without a bounded last layer may leave [-1, 1]."""


def check_range(x: Shaped[Tensor, "n *s"], x_own: Shaped[Tensor, "k *t"]) -> None:
    """Refuse data that are evidently in another range than what the generator makes.

    Args:
        x: The user's data, or what is seen of them.
        x_own: Some of the generator's own outputs, at least three, treated as the data were (measured, say).

    Raises:
        ValueError: Both sides show signs of a range, and not of the same one; the message says how to convert.
    """
    given, made = apparent_range(x), apparent_range(x_own)
    if given is not None and made is not None and given != made:
        raise ValueError(
            f"expected data in {made} as the generator makes them, got data in {given} (from {x.min():.3g} to "
            f"{x.max():.3g}); convert them with {_CONVERSIONS[given, made]}"
        )


def check_apparent_range(x: Shaped[Tensor, "n *s"], expected: Range, who: str) -> None:
    """Refuse data that are evidently in another range than the one that a network takes.

    Raises:
        ValueError: The data show the signs of another range; the message says how to convert.
    """
    given = apparent_range(x)
    if given is not None and given != expected:
        raise ValueError(
            f"expected data in {expected} for {who}, got data in {given} (from {x.min():.3g} to {x.max():.3g}); "
            f"convert them with {_CONVERSIONS[given, expected]}"
        )


def check_same_range(generated: Shaped[Tensor, "n *s"], reference: Shaped[Tensor, "m *t"]) -> None:
    """Refuse two samples that are evidently in different ranges.

    Raises:
        ValueError: Both show signs of a range, and not of the same one, or one alone is of 8-bit numbers (uint8).
    """
    made, given = apparent_range(generated), apparent_range(reference)
    small = (made is None and _in_fractions(generated)) or (given is None and _in_fractions(reference))
    apart = None not in (made, given) or torch.uint8 in (generated.dtype, reference.dtype)
    if made != given and (apart or (small and "[0, 255]" in (made, given))):
        spans = [
            f"{name} ones {f'in {found} ' if found else ''}of {x.dtype} (from {x.min():.3g} to {x.max():.3g})"
            for name, found, x in (("generated", made, generated), ("reference", given, reference))
        ]
        way_out = f"convert the reference with {_CONVERSIONS[given, made]}" if made and given else "convert one of them"
        raise ValueError(f"expected samples in one range, got {' and '.join(spans)}; {way_out}")


def apparent_range(x: Shaped[Tensor, "n *s"]) -> Range | None:
    """The range of which data show the signs, else None; uint8 is a sign of its own."""
    if x.dtype == torch.uint8:
        return "[0, 255]"
    items = x[:_LOOKED_AT].detach().float().flatten(1)
    if items.numel() == 0 or items.shape[1] < _FEWEST_ELEMENTS:
        return None
    images = x.ndim == 4 and x.shape[1] in (1, 3, 4)
    low, high = items.amin(1), items.amax(1)
    if low.min() >= 0 and 16 < high.max() <= 255 and (items > 2).float().mean() >= 0.01:
        return "[0, 255]" if images or torch.equal(items, items.round()) else None
    if low.min() >= -1 - _OVERSHOOT and high.max() <= 1 + _OVERSHOOT and (low < -0.25).float().mean() > 0.5:
        return "[-1, 1]"
    if low.min() >= 0 and high.max() <= 1:
        levels = _levels(items)
        if levels is not None:
            return "[0, 1]" if levels[::2].any() else None
        ends_at_zero = (low < 0.05).float().mean() >= 0.5 and high.max() > 0.5
        return "[0, 1]" if images and len(items) >= _FEWEST_ITEMS and ends_at_zero else None
    return None


def _in_fractions(x: Shaped[Tensor, "n *s"]) -> bool:
    """Whether data are all small and not whole, as no images in [0, 255] are."""
    x = x[:_LOOKED_AT].detach().float()
    return x.numel() > 0 and x.abs().max().item() <= 1 + _OVERSHOOT and not torch.equal(x, x.round())


def on_eight_bit_grid(x: Float[Tensor, "n *s"]) -> Bool[Tensor, "n"]:
    """Which items hold nothing but 2 v / 255 - 1 for v = 0 .. 255, as images read from files do."""
    items = x.flatten(1)
    places = (items + 1) * 127.5
    return ((places - places.round()).abs().amax(1) < 0.01) & (items.abs().amax(1) < 1.001)


def _levels(items: Float[Tensor, "n m"]) -> Int[Tensor, "l"] | None:
    """How often items in [0, 1] are 0, 1/255, ..., 1, if they are nothing else and eight of these at least."""
    places = 255 * items
    whole = places.round()
    if (places - whole).abs().max() > 0.01:
        return None
    counts = whole.long().flatten().bincount(minlength=256)
    return counts if counts.count_nonzero() >= _FEWEST_LEVELS else None
