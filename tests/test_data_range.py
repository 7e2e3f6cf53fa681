"""Every range given for every other is called out, and nothing else is."""

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from latentry.data.digits import digits
from latentry.numerics.data_range import apparent_range, check_range

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
