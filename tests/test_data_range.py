"""Every range given for every other is called out, and nothing else is."""

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from latentry.data.digits import digits
from latentry.numerics.data_range import apparent_range, check_range, check_same_range, on_eight_bit_grid, possible_ranges

SCALES: dict[str, Callable[[Tensor], Tensor]] = {
    "[0, 255]": lambda v: v,
    "[0, 1]": lambda v: v / 255,
    "[-1, 1]": lambda v: v / 127.5 - 1,
}


@pytest.fixture(scope="module")
def pixels() -> Tensor:
    """Eight digits as uint8 values in floating point."""
    data = digits()
    return data.read(data.items[:8]).float()


@pytest.fixture(scope="module")
def painted() -> Tensor:
    """Eight smooth colour images, values 0 to 255, not rounded."""
    rng = torch.Generator().manual_seed(3)
    blobs = nn.functional.interpolate(torch.randn(8, 3, 4, 4, generator=rng), 16, mode="bicubic")
    low, high = blobs.amin((1, 2, 3), keepdim=True), blobs.amax((1, 2, 3), keepdim=True)
    return 250 * (blobs - low) / (high - low) + 2


@pytest.mark.parametrize(("given", "made"), list(itertools.permutations(SCALES, 2)))
@pytest.mark.parametrize("kind", ["digits", "painted"])
def test_each_wrong_range_is_called_out_and_the_conversion_it_names_helps(
    given: str, made: str, kind: str, pixels: Tensor, painted: Tensor
) -> None:
    values = pixels if kind == "digits" else painted
    x, x_own = SCALES[given](values[:4]), SCALES[made](painted[4:])
    with pytest.raises(ValueError, match="expected data in") as caught:
        check_range(x, x_own)
    message = str(caught.value)
    assert f"expected data in {made} as" in message
    assert f"got data in {given}" in message
    check_range(eval(message.partition("convert them with ")[2], {"x": x}), x_own)


@pytest.mark.parametrize("scale", SCALES)
def test_each_right_range_passes(scale: str, pixels: Tensor, painted: Tensor) -> None:
    for x, x_own in itertools.product([pixels, painted], repeat=2):
        check_range(SCALES[scale](x), SCALES[scale](x_own))


def test_one_image_of_eight_bits_is_enough(pixels: Tensor, painted: Tensor) -> None:
    own = SCALES["[-1, 1]"](painted)
    for given in ("[0, 1]", "[0, 255]"):
        with pytest.raises(ValueError, match="convert"):
            check_range(SCALES[given](pixels[:1]), own)
        with pytest.raises(ValueError, match="convert"):  # flattened, as a dense generator makes them
            check_range(SCALES[given](pixels[:1]).flatten(1), own.flatten(1))


def test_one_unrounded_image_in_the_upper_half_is_left_alone(painted: Tensor) -> None:
    check_range(SCALES["[0, 1]"](painted[:1]), SCALES["[-1, 1]"](painted))


def eight_bits(x: Tensor) -> Tensor:
    return ((x + 1) * 127.5).round() / 127.5 - 1


@pytest.mark.parametrize("rounded", [False, True])
@pytest.mark.parametrize(
    ("scale", "shift"),
    [(0.4, 0.58), (0.3, 0.6), (0.5, -0.5), (0.05, -0.95), (0.05, 0.0), (0.05, 0.95), (0.0, -1.0), (0.0, 0.0), (0.0, 1.0)],
    ids=["upper half", "bright", "lower half", "dark", "grey", "white", "all black", "all grey", "all white"],
)
def test_bright_dark_and_pale_images_pass(scale: float, shift: float, rounded: bool, painted: Tensor) -> None:
    own = SCALES["[-1, 1]"](painted)
    x = own * scale + shift
    x = eight_bits(x) if rounded else x
    check_range(x[:1], own)
    check_range(x, own)


def test_images_that_all_end_at_mid_grey_pass_if_they_are_of_eight_bits(painted: Tensor) -> None:
    """Their levels tell them from images in [0, 1]; unrounded ones are the same numbers in both ranges."""
    own = SCALES["[-1, 1]"](painted)
    check_range(eight_bits((own + 1) / 2), own)
    with pytest.raises(ValueError, match=r"got data in \[0, 1\]"):
        check_range((own + 1) / 2, own)


def test_dark_images_of_a_generator_in_0_to_255_pass(painted: Tensor) -> None:
    check_range((painted / 12).round(), painted)
    check_range(torch.zeros(4, 3, 16, 16), painted)


def test_bright_outputs_say_nothing_of_where_a_generator_ends(painted: Tensor) -> None:
    check_range(SCALES["[-1, 1]"](painted), SCALES["[-1, 1]"](painted) * 0.3 + 0.6)


@pytest.mark.parametrize("scale", [0.01, 0.3, 1.0, 40.0])
def test_data_that_are_no_images_pass(scale: float, rng: torch.Generator) -> None:
    own = torch.randn(4, 100, generator=rng) * scale
    for x in (
        torch.zeros(5, 100),
        torch.randn(5, 100, generator=rng),
        torch.rand(5, 100, generator=rng),
        30 * torch.rand(5, 100, generator=rng),
        torch.rand(5, 100, generator=rng).round(),
        torch.rand(5, 100, generator=rng).exp() * 50,
    ):
        check_range(x, own)
        check_range(x, own.tanh())


def test_images_standardised_by_mean_and_variance_pass(painted: Tensor) -> None:
    own = SCALES["[-1, 1]"](painted)
    check_range((painted - painted.mean()) / painted.std() * 1.5, own)


def test_few_elements_show_no_range() -> None:
    assert apparent_range(torch.tensor([[0.0, 255.0]])) is None
    assert apparent_range(torch.zeros(0, 1, 28, 28)) is None


def test_a_spike_is_no_range(painted: Tensor) -> None:
    x = SCALES["[0, 1]"](painted) * 0.9 + 0.05
    x[0, 0, 0, 0] = 60.0
    check_range(x, SCALES["[-1, 1]"](painted))


ENDS = {"[0, 1]": (0.0, 1.0), "[-1, 1]": (-1.0, 1.0), "[0, 255]": (0.0, 255.0)}


@pytest.mark.parametrize(
    ("given", "made", "items", "flat"),
    [
        ("[0, 255]", "[0, 1]", 1, True),
        ("[0, 255]", "[0, 1]", 4, True),
        ("[0, 255]", "[-1, 1]", 1, True),
        ("[-1, 1]", "[0, 1]", 1, True),
        ("[-1, 1]", "[0, 1]", 1, False),
        ("[-1, 1]", "[0, 255]", 2, True),
        ("[0, 1]", "[-1, 1]", 4, False),
    ],
)
def test_where_the_last_layer_says_the_range_any_outputs_will_do(
    given: str, made: str, items: int, flat: bool, painted: Tensor
) -> None:
    """Outputs that show no sign themselves: pale ones, from the middle of the range. Unrounded data of any shape."""
    x = SCALES[given](painted[:items])
    low, high = ENDS[made]
    own = low + (high - low) * (0.4 + 0.2 * SCALES["[0, 1]"](painted[4:]))
    x, own = (x.flatten(1), own.flatten(1)) if flat else (x, own)
    with pytest.raises(ValueError, match="expected data in") as caught:
        check_range(x, own, ENDS[made])
    assert f"expected data in {made} as" in str(caught.value)
    check_range(eval(str(caught.value).partition("convert them with ")[2], {"x": x}), own, ENDS[made])


@pytest.mark.parametrize("made", ENDS)
def test_noisy_pale_and_standardised_data_pass_whatever_the_last_layer(made: str, painted: Tensor) -> None:
    """Noise leaves the range on both sides; a black image has elements below 0 by it, but few."""
    rng = torch.Generator().manual_seed(1)
    low, high = ENDS[made]
    own = SCALES[made](painted[4:])
    clean = torch.cat([SCALES[made](painted[:4]), torch.full_like(own[:4], low)])
    for noise in (0.0, 0.01, 0.1, 0.15):
        x = clean + noise * (high - low) * torch.randn(clean.shape, generator=rng)
        for part in (x[:4], x[4:], x, x[:1], x[4:5]):
            check_range(part, own, ENDS[made])
    check_range(low + (high - low) * (0.5 + 0.1 * torch.rand(2, 3, 16, 16, generator=rng)), own, ENDS[made])
    standardised = (painted - painted.mean()) / painted.std()
    check_range(standardised * 0.3 * (high - low) + (low + high) / 2, own, ENDS[made])


def test_data_beyond_the_reach_of_the_last_layer_are_refused_without_a_name(painted: Tensor) -> None:
    signals = 30 * torch.rand(5, 20, generator=torch.Generator().manual_seed(1)) - 10
    with pytest.raises(ValueError, match="expected data from 0 to 1, where the generator's last layer ends"):
        check_range(signals, torch.rand(8, 20), (0.0, 1.0))
    check_range(signals, torch.rand(8, 20))  # of an end without bounds nothing is known


@pytest.mark.parametrize("bits", [10, 12, 16])
@pytest.mark.parametrize("made", ["[0, 1]", "[-1, 1]"])
def test_images_of_more_than_eight_bits_are_refused_with_the_map_that_helps(bits: int, made: str, painted: Tensor) -> None:
    x, own = (painted[:4] / 255 * (2**bits - 1)).round(), SCALES[made](painted[4:])
    checks: list[Callable[[Tensor], None]] = [
        lambda given: check_range(given, own),
        lambda given: check_range(given.flatten(1), own.flatten(1), ENDS[made]),
        lambda given: check_same_range(given, own),
        lambda given: check_same_range(own, given),
    ]
    for check in checks:
        with pytest.raises(ValueError, match=rf"far above it.*if they have {bits} bits") as caught:
            check(x)
        check(eval(str(caught.value).partition("convert them with ")[2], {"x": x}))
    x[:] = SCALES[made](painted[:4])
    x[0] = 2**bits - 1.0  # one odd item
    check_range(x, own)
    check_range(40 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0)), own)  # without bounds


def test_many_outputs_are_a_sign_by_what_none_of_them_does(painted: Tensor) -> None:
    own = SCALES["[-1, 1]"](painted).repeat(3, 1, 1, 1)
    with pytest.raises(ValueError, match=r"got data in \[0, 1\]"):
        check_range(SCALES["[0, 1]"](painted[:1]), own)
    check_range(SCALES["[0, 1]"](painted[:1]), own[:8])  # few could be so by chance
    check_range(0.4 * SCALES["[0, 1]"](painted[:1]) + 0.58, own)
    positive = SCALES["[0, 1]"](painted).repeat(3, 1, 1, 1).flatten(1)
    with pytest.raises(ValueError, match=r"\(x \+ 1\) / 2"):
        check_range(SCALES["[-1, 1]"](painted[:1]).flatten(1), positive)


@pytest.mark.parametrize("scale", SCALES)
def test_the_grid_of_eight_bits_is_looked_for_where_the_generator_makes_its_data(
    scale: str, pixels: Tensor, painted: Tensor
) -> None:
    low, high = ENDS[scale]
    for own, ends in ((SCALES[scale](painted), None), (SCALES[scale](painted * 0 + 99), (low, high))):
        ranges = possible_ranges(own, ends)
        assert (low, high) in ranges
        first = next(one for one in ranges if on_eight_bit_grid(SCALES[scale](pixels), *one).all())
        assert first == (low, high)
        assert not any(on_eight_bit_grid(SCALES[scale](painted), *one).any() for one in ranges)


UNITS = {"2x - 1": (2, -1), "2x": (2, 0), "10x - 5": (10, -5)}


@pytest.mark.parametrize("unit", UNITS)
def test_data_in_units_that_have_no_name_are_refused_where_they_stop_far_beyond_the_ends(unit: str) -> None:
    ends = (-1.0, 1.0)
    x = digits().images(range(64))
    scale, shift = UNITS[unit]
    with pytest.raises(ValueError, match=r"expected data from -1 to 1, where the generator"):
        check_range(scale * x + shift, x, ends)
    for wider in (1.1, 1.25):
        check_range(wider * x, x, ends)
    rng = torch.Generator().manual_seed(0)
    for noise in (0.3, 0.5, 1.0):  # which has a tail
        check_range(x + noise * torch.randn(x.shape, generator=rng), x, ends)


@pytest.mark.parametrize("contrast", [0.3, 2.0])
def test_data_of_low_contrast_are_told_from_noise_by_the_directions_of_outputs(contrast: float) -> None:
    rng = torch.Generator().manual_seed(1)
    matrix = torch.randn(16, 64, generator=rng) / 4
    own, x = (torch.sigmoid(contrast * torch.randn(64, 16, generator=rng) @ matrix) for _ in range(2))
    with pytest.raises(ValueError, match=r"expected data from 0 to 1, where the generator's last layer ends"):
        check_range(10 * x - 5, own, (0.0, 1.0))
    check_range(x + torch.randn(x.shape, generator=rng), own, (0.0, 1.0))


@pytest.mark.parametrize("shape", [(64,), (1, 8, 8)], ids=["vectors", "images"])
def test_a_linear_generator_ends_nowhere(shape: tuple[int, ...]) -> None:
    rng = torch.Generator().manual_seed(2)
    matrix = torch.randn(16, 64, generator=rng) / 4
    own, x = ((torch.randn(64, 16, generator=rng) @ matrix).view(-1, *shape) for _ in range(2))
    for scale, shift in ((1, 0), (2, -1), (4, 0), (10, -5)):
        check_range(scale * x + shift, own)
