r"""Checks that data are in the range in which the generator makes them.

Pixels come in [0, 255], [0, 1] or [-1, 1], and a tensor does not say in which. Recovery from data in another range than the
generator's runs without complaint and finds nothing. So the range of both sides is read, each by the same signs, and a range
is named only on evidence that no proper data of another range give:

- [0, 255]: nothing below 0, something above 16, and a hundredth of all above 2; images, or whole numbers.
- [-1, 1]: everything within, most items fall below -0.25, and so does a twentieth of all elements (a few may by noise).
- [0, 1], the sure sign: eight or more levels, all of them multiples of 1/255. Pixels v = 0 .. 255 in [-1, 1] are
  2 v / 255 - 1: *odd* multiples of 1/255, every one. An even multiple, such as the black of any image in [0, 1], is never
  among them; and where all are odd, the data are not in [0, 1].
- [0, 1], the sign of several (three or more images, unrounded): nothing below 0, half of them come within 0.05 of it,
  something is above 0.5. Bright images in [-1, 1] may all lie above 0 by their nature, but nothing makes them end there.

Of the generator more may be known. Where its last layer squashes, the ends of what it can make are certain, whatever its
outputs are, and data far beyond them are in other units, even if no range can be named. And where many of its outputs were
looked at, their lack is a sign too: that nothing is below 0 while the data are in [-1, 1], or that all of them fall far
below 0 while nothing in the data does.

Images of 10, 12 or 16 bits show no range of these. But where one side does, and the other is nowhere below 0 and in most
items more than thirty times that range above it, no noise or standardisation brings it there.

Where the last layer sets the ends, units that have no name show as well: much of the data lies far beyond the ends and stops
there, while noise that brings as much so far has a tail. Data of low contrast show them in the few directions in which
outputs vary, where noise has little.

Where no sign is seen nothing is concluded: data of less than 64 elements, a single unrounded image in [0, 1] beside a few
outputs (which may as well be a bright one in [-1, 1]), images standardised by mean and variance, vectors and signals that
are not whole levels.

One module of more than 350 lines, a third of it text: all signs of a range are in one place, as each is weighed against the
others.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

__all__ = [
    "Range",
    "apparent_range",
    "check_apparent_range",
    "check_range",
    "check_same_range",
    "conversion_of_bytes",
    "on_eight_bit_grid",
    "possible_ranges",
]

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
_RANGES: dict[Range, tuple[float, float]] = {"[0, 1]": (0.0, 1.0), "[-1, 1]": (-1.0, 1.0), "[0, 255]": (0.0, 255.0)}
_LOOKED_AT = 64
"""Items that are looked at, so that the check costs nothing beside recovery."""
_FEWEST_ELEMENTS = 64
_MANY_OUTPUTS = 16
"""Outputs of a generator from which on it is a sign what none of them does."""
_FEWEST_ITEMS = 3
_SMALLEST_SIDE = 8
"""Pixels along the side of an image that is recognised by a last axis of channels."""
_FEWEST_LEVELS = 8
_LEAST_DARK = 0.05
"""Share of elements below -0.25, which noise alone seldom brings there from [0, 1]."""
_OUT_OF_REACH = 0.2
"""Share of elements beyond the ends by more than the whole range; noise as wide as the range brings a sixth there."""
_FAR_BEYOND, _MUCH, _FEWEST_BEYOND, _NO_TAIL = 0.25, 0.1, 100, 3.0
"""How far beyond the ends, in widths of the range, what share of all elements lies, how many at least, and how many times as
far as the median one the furthest may be, for data that are in other units."""
_MOST_VARIANCE = 0.95
"""Share of the variance of outputs in the directions that are taken as their range of variation."""
_FAR = 30.0
"""How far above a range data are in other units, in widths of it."""
_DEPTHS = (10, 12, 16)
"""Bits of images that have more than eight."""
_SELDOM = 0.01
"""Share of outputs that a generator without a bounded last layer may have outside its range."""
_OVERSHOOT = 0.25
"""How far a generator without a bounded last layer may leave [-1, 1]."""


def check_range(x: Shaped[Tensor, "n *s"], x_own: Shaped[Tensor, "k *t"], ends: tuple[float, float] | None = None) -> None:
    """Refuse data that are evidently in another range than what the generator makes.

    Args:
        x: The user's data, or what is seen of them.
        x_own: Some of the generator's own outputs, at least three, treated as the data were (measured, say).
        ends: Both ends of what the generator can make, where its last layer sets them.

    Raises:
        ValueError: Both sides show signs of a range, and not of the same one; the message says how to convert. Or most data
            are out of the reach of the generator.

    Example:
        >>> check_range(torch.rand(4, 1, 8, 8) * 2 - 1, torch.rand(4, 1, 8, 8) * 2 - 1)
    """
    of_data, of_generator = apparent_range(x), (None if ends is None else _named(ends)) or apparent_range(x_own)
    own = x_own[:_LOOKED_AT].detach().float().flatten(1)
    if of_data == "[-1, 1]" and of_generator is None and len(own) >= _MANY_OUTPUTS and _never_below_0(own):
        of_generator = "[0, 1]"
    if of_data is None and of_generator == "[-1, 1]" and _all_far_below_0(own) and _ends_at_0(x):
        of_data = "[0, 1]"
    if of_data is None and of_generator in ("[0, 1]", "[-1, 1]") and ends is not None and _up_to_255(x):
        of_data = "[0, 255]"
    got = f"(from {x.min():.3g} to {x.max():.3g})"
    if of_data is not None and of_generator is not None and of_data != of_generator:
        raise ValueError(
            f"expected data in {of_generator} as the generator makes them, got data in {of_data} {got}; convert them with "
            f"{_CONVERSIONS[of_data, of_generator]}"
        )
    if of_data is None and of_generator is not None and (ends is not None or _are_images(x)) and _far_above(x, of_generator):
        raise ValueError(
            f"expected data in {of_generator} as the generator makes them, got data far above it {got}; "
            f"{_way_down(x, of_generator)}"
        )
    if ends is not None and (_beyond_without_a_tail(x, ends) or _beyond_along_the_outputs(x, own, ends)):
        raise ValueError(
            f"expected data from {ends[0]:.4g} to {ends[1]:.4g}, where the generator's last layer ends, got others {got}, "
            "further beyond than noise brings them; bring them into the units that it was trained in"
        )
    if ends is not None and _out_of_reach(x, ends):
        raise ValueError(
            f"expected data from {ends[0]:.4g} to {ends[1]:.4g}, where the generator's last layer ends, got others {got}; "
            "bring them into the units that it was trained in"
        )


def conversion_of_bytes(x_own: Float[Tensor, "k *t"], ends: tuple[float, float] | None = None) -> str:
    """How pixels of 0 to 255 become what a generator makes, as Python; for one in [-1, 1] where that is not known.

    Example:
        >>> conversion_of_bytes(torch.rand(4, 1, 8, 8) * 2 - 1)
        'x.float() / 127.5 - 1'
    """
    made = (None if ends is None else _named(ends)) or apparent_range(x_own) or "[-1, 1]"
    return {"[0, 1]": "x.float() / 255", "[-1, 1]": "x.float() / 127.5 - 1", "[0, 255]": "x.float()"}[made]


def check_apparent_range(x: Shaped[Tensor, "n *s"], expected: Range, who: str) -> None:
    """Refuse data that are evidently in another range than the one that a network takes.

    Raises:
        ValueError: The data show the signs of another range; the message says how to convert.
    """
    found_range = apparent_range(x)
    if found_range is not None and found_range != expected:
        raise ValueError(
            f"expected data in {expected} for {who}, got data in {found_range} (from {x.min():.3g} to {x.max():.3g}); "
            f"convert them with {_CONVERSIONS[found_range, expected]}"
        )


def check_same_range(generated: Shaped[Tensor, "n *s"], reference: Shaped[Tensor, "m *t"]) -> None:
    """Refuse two samples that are evidently in different ranges.

    Raises:
        ValueError: Both show signs of a range, and not of the same one, or one alone is of 8-bit numbers (uint8).

    Example:
        >>> check_same_range(torch.rand(4, 1, 8, 8), torch.rand(4, 1, 8, 8))
    """
    of_generated, of_reference = apparent_range(generated), apparent_range(reference)
    small = (of_generated is None and _in_fractions(generated)) or (of_reference is None and _in_fractions(reference))
    apart = None not in (of_generated, of_reference) or torch.uint8 in (generated.dtype, reference.dtype)
    if of_generated != of_reference and (apart or (small and "[0, 255]" in (of_generated, of_reference))):
        spans = [
            f"{name} ones {f'in {found} ' if found else ''}of {x.dtype} (from {x.min():.3g} to {x.max():.3g})"
            for name, found, x in (("generated", of_generated, generated), ("reference", of_reference, reference))
        ]
        way_out = (
            f"convert the reference with {_CONVERSIONS[of_reference, of_generated]}"
            if of_generated and of_reference
            else "convert one of them"
        )
        raise ValueError(f"expected samples in one range, got {' and '.join(spans)}; {way_out}")

    for other, own, name, x in (
        (of_reference, of_generated, "generated", generated),
        (of_generated, of_reference, "reference", reference),
    ):
        if other is not None and own is None and _are_images(x) and _far_above(x, other):
            raise ValueError(
                f"expected {name} samples in {other} as the others are, got samples far above it (from {x.min():.3g} to "
                f"{x.max():.3g}); {_way_down(x, other)}"
            )


def apparent_range(x: Shaped[Tensor, "n *s"]) -> Range | None:
    """The range of which data show the signs, else None; uint8 is a sign of its own.

    Example:
        >>> apparent_range(torch.zeros(2, 8, dtype=torch.uint8))
        '[0, 255]'
    """
    if x.dtype == torch.uint8:
        return "[0, 255]"
    items = x[:_LOOKED_AT].detach().float().flatten(1)
    if items.numel() == 0 or items.shape[1] < _FEWEST_ELEMENTS:
        return None
    images = _are_images(x)
    low, high = items.amin(1), items.amax(1)
    if low.min() >= 0 and 16 < high.max() <= 255 and (items > 2).float().mean() >= 0.01:
        return "[0, 255]" if images or torch.equal(items, items.round()) else None
    if low.min() >= -1 - _OVERSHOOT and high.max() <= 1 + _OVERSHOOT and (low < -0.25).float().mean() > 0.5:
        return "[-1, 1]" if (items < -0.25).float().mean() >= _LEAST_DARK else None
    if low.min() >= 0 and high.max() <= 1:
        levels = _levels(items)
        if levels is not None:
            return "[0, 1]" if levels[::2].any() else None
        ends_at_zero = (low < 0.05).float().mean() >= 0.5 and high.max() > 0.5
        return "[0, 1]" if images and len(items) >= _FEWEST_ITEMS and ends_at_zero else None
    return None


def possible_ranges(x_own: Float[Tensor, "k *t"], ends: tuple[float, float] | None = None) -> list[tuple[float, float]]:
    """The ranges of images that a generator's own outputs may lie in, the narrowest first; before them one of its own.

    A range is none of theirs where they fill less than two of its 256 levels: everything small would be on its grid.

    Args:
        x_own: Some of its outputs.
        ends: Both ends of what it can make, where its last layer sets them.

    Example:
        >>> possible_ranges(torch.tensor([[-1.0, 0.2, 1.0]]))
        [(-1.0, 1.0)]
    """
    made = x_own.detach() if ends is None else torch.tensor(ends)
    possible = [] if ends is None or _named(ends) else [ends]
    for low, high in _RANGES.values():
        slack = (0.01 if ends is not None or low == 0 else _OVERSHOOT) * (high - low)
        beyond = ((made < low - slack) | (made > high + slack)).float().mean()
        filled = (made.max() - made.min()) * 255 >= 2 * (high - low)
        if beyond <= _SELDOM and filled and (high < 2 or made.max() > 16):
            possible.append((low, high))
    return possible


def on_eight_bit_grid(
    x: Float[Tensor, "n *s"], low: float = -1.0, high: float = 1.0, off: float = 0.01
) -> Bool[Tensor, "n"]:
    """Which items hold nothing but the 256 levels from `low` to `high`, as images read from files do.

    Example:
        >>> on_eight_bit_grid(torch.tensor([[0.0, 1 / 255, 1.0], [0.0, 0.5, 0.123]]), 0.0, 1.0)
        tensor([ True, False])
    """
    places = (x.flatten(1) - low) * (255 / (high - low))
    whole = places.round()
    return ((places - whole).abs().amax(1) < off) & (whole.amin(1) >= 0) & (whole.amax(1) <= 255)


def _are_images(x: Shaped[Tensor, "n *s"]) -> bool:
    """Channels first, or last as in arrays of other libraries."""
    return x.ndim == 4 and (x.shape[1] in (1, 3, 4) or (x.shape[3] in (1, 3, 4) and min(x.shape[1:3]) >= _SMALLEST_SIDE))


def _far_above(x: Shaped[Tensor, "n *s"], known: Range) -> bool:
    """Whether nothing is below 0, and a part of most items far above a range."""
    items = x[:_LOOKED_AT].detach().float().flatten(1)
    low, high = _RANGES[known]
    far = items > high + _FAR * (high - low)
    return items.numel() > 0 and bool(
        items.min() >= 0 and far.float().mean() > _OUT_OF_REACH and far.any(1).float().mean() > 0.5
    )


def _way_down(x: Shaped[Tensor, "n *s"], known: Range) -> str:
    """The linear map that brings data of more than eight bits into a range."""
    low, high = _RANGES[known]
    bits = next((bits for bits in _DEPTHS if x.max() < 2**bits), None)
    if bits is None:
        return f"map them linearly, from 0 to {low:g} and from their largest possible value to {high:g}"
    down = f"x / {(2**bits - 1) / (high - low):.10g}" + (f" - {-low:g}" if low else "")
    return f"if they have {bits} bits, convert them with {down}"


def _in_fractions(x: Shaped[Tensor, "n *s"]) -> bool:
    """Whether data are all small and not whole, as no images in [0, 255] are."""
    x = x[:_LOOKED_AT].detach().float()
    return x.numel() > 0 and x.abs().max().item() <= 1 + _OVERSHOOT and not torch.equal(x, x.round())


def _named(ends: tuple[float, float]) -> Range | None:
    """The range that has these ends."""
    for name, (low, high) in _RANGES.items():
        if max(abs(ends[0] - low), abs(ends[1] - high)) <= 0.01 * (high - low):
            return name
    return None


def _never_below_0(own: Float[Tensor, "k m"]) -> bool:
    return bool(own.min() >= 0 and 0.5 < own.max() <= 1 + _OVERSHOOT)


def _all_far_below_0(own: Float[Tensor, "k m"]) -> bool:
    return len(own) >= _MANY_OUTPUTS and bool((own.amin(1) < -0.5).all())


def _ends_at_0(x: Shaped[Tensor, "n *s"]) -> bool:
    """Whether items lie in [0, 1], and come near both ends, each of them."""
    items = x[:_LOOKED_AT].detach().float().flatten(1)
    low, high = items.amin(1), items.amax(1)
    return bool(
        items.numel() >= _FEWEST_ELEMENTS and (low >= 0).all() and (low < 0.05).all() and ((high > 0.5) & (high <= 1)).all()
    )


def _up_to_255(x: Tensor) -> bool:
    return bool(x.min() >= 0 and 16 < x.max() <= 255 and (x > 2).float().mean() >= 0.01)


def _out_of_reach(x: Tensor, ends: tuple[float, float]) -> bool:
    low, high = ends
    beyond = (x < low - (high - low)) | (x > high + (high - low))
    return bool(beyond.float().mean() > _OUT_OF_REACH)


def _beyond_without_a_tail(x: Tensor, ends: tuple[float, float]) -> bool:
    """Whether much of the data lies far beyond the ends, and none of it much further than most of that.

    Noise that brings as much there has a tail: of a hundred normal numbers or more the furthest is over three times as far
    out as the median one. Data in other units have none, since they end where their own range ends.
    """
    low, high = ends
    items = x[:_LOOKED_AT].detach().double().flatten()
    depth = torch.maximum(low - items, items - high)
    beyond = depth[depth > 0]
    much = (depth > _FAR_BEYOND * (high - low)).double().mean() > _MUCH and len(beyond) >= _FEWEST_BEYOND
    return bool(much and beyond.max() < _NO_TAIL * beyond.median())


def _beyond_along_the_outputs(x: Tensor, own: Float[Tensor, "k m"], ends: tuple[float, float]) -> bool:
    """Whether much of the data lies far beyond the ends in the directions in which outputs vary, where noise has little."""
    low, high = ends
    slack = _FAR_BEYOND * (high - low)

    def share(items: Tensor) -> float:
        return ((items < low - slack) | (items > high + slack)).double().mean().item()

    items = x[:_LOOKED_AT].detach().to(own).flatten(1)
    if len(own) < _MANY_OUTPUTS or share(items) <= _OUT_OF_REACH:
        return False
    mean = own.mean(0)
    _, sizes, rows = torch.linalg.svd(own - mean, full_matrices=False)
    rank = int((sizes.square().cumsum(0) < _MOST_VARIANCE * sizes.square().sum()).sum()) + 1
    along = rows[:rank]
    return 2 * rank <= own.shape[1] and share(mean + (items - mean) @ along.mT @ along) > _OUT_OF_REACH


def _levels(items: Float[Tensor, "n m"]) -> Int[Tensor, "l"] | None:
    """How often items in [0, 1] are 0, 1/255, ..., 1, if they are nothing else and eight of these at least."""
    places = 255 * items
    whole = places.round()
    if (places - whole).abs().max() > 0.01:
        return None
    counts = whole.long().flatten().bincount(minlength=256)
    return counts if counts.count_nonzero() >= _FEWEST_LEVELS else None
