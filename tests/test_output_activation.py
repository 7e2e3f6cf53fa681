"""The output activation of a last layer: found in the generator's graph, and undone."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from latentry.latent.differences import Difference
from latentry.latent.solvers.output_activation import OutputActivation, output_activation_of, range_of_last_layer

S = torch.linspace(-4, 4, 60, dtype=torch.float64).view(3, 20)


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (0.0, 1.0), (0.0, 255.0)])
def test_before_the_output_activation_residuals_are_those_of_the_last_layers_inputs(low: float, high: float) -> None:
    output_activation = OutputActivation(low, high, 1e-6)
    s = torch.linspace(-4, 4, 9, dtype=torch.float64)
    assert_close(output_activation.undo(low + (high - low) * (torch.tanh(s) + 1) / 2), s, rtol=0, atol=1e-3)
    ends = output_activation.undo(torch.tensor([low, high], dtype=torch.float64))
    assert ends.isfinite().all()


@pytest.mark.parametrize(
    ("generator", "ends"),
    [
        (torch.tanh, (-1.0, 1.0)),
        (torch.sigmoid, (0.0, 1.0)),
        (lambda s: torch.tanh(s).view(-1, 1, 4, 5), (-1.0, 1.0)),
        (lambda s: (torch.tanh(s) + 1) / 2, (0.0, 1.0)),
        (lambda s: 127.5 * (1 + torch.tanh(s)), (0.0, 255.0)),
        (lambda s: 1 - 2 * torch.sigmoid(s), (-1.0, 1.0)),
        (lambda s: 0.1 * torch.tanh(s).clamp(-1, 1), (-0.1, 0.1)),
        (nn.Sequential(nn.Flatten(), nn.Tanh(), nn.Identity(), nn.Unflatten(1, (4, 5))), (-1.0, 1.0)),
        (lambda s: torch.tanh(s.half()).float(), (-1.0, 1.0)),
        (lambda s: 0.5 + 0.06 * s * 2, None),
        (lambda s: s.clamp(-1, 1), None),
        (nn.Hardtanh(), None),
        (torch.sin, None),
        (lambda s: torch.tanh(s) + 0.1 * s, None),
        (lambda s: torch.tanh(s) ** 3, None),
        (lambda s: torch.tanh(s) * torch.linspace(0.5, 1, 20), None),
        (lambda s: torch.tanh(s).mean(1, keepdim=True), None),
        (lambda s: torch.tanh(s) @ torch.eye(20, dtype=torch.float64)[:, :7] * 0.5 + 0.5, None),
        (lambda s: torch.zeros_like(s) * torch.tanh(s), None),
    ],
    ids=[
        "tanh", "sigmoid", "in the shape of images", "tanh in [0, 1]", "tanh in [0, 255]", "sigmoid upside down",
        "tanh kept within its ends", "modules", "half precision", "linear in [0, 1]", "clamp", "hardtanh", "sine",
        "tanh and more", "power", "a scale for each element", "mean", "a layer behind it", "nothing",
    ],
)  # fmt: skip
def test_the_range_of_the_last_layer_is_read_from_the_graph(
    generator: Callable[[Tensor], Tensor], ends: tuple[float, float] | None
) -> None:
    found = range_of_last_layer(generator(S.clone().requires_grad_(True)))
    assert (found is None) == (ends is None)
    if ends is not None:
        assert found == pytest.approx(ends, abs=1e-9)


@pytest.mark.parametrize(
    ("ends", "difference", "eight_bit", "expected"),
    [
        ((-1.0, 1.0), Difference(), False, OutputActivation(-1.0, 1.0, 1e-6)),
        ((-1.0, 1.0), Difference(), True, OutputActivation(-1.0, 1.0, 1 / 255)),
        (None, Difference(), False, None),
        ((-10.0, 10.0), Difference(), False, None),
        ((-0.9, 0.9), Difference(), False, None),
        ((-1.0, 1.0), Difference("l1"), False, None),
        ((-1.0, 1.0), Difference(operator=lambda x: x), False, None),
        ((-1.0, 1.0), Difference(extractor=lambda x: x), False, None),
    ],
    ids=["tanh", "eight bits", "no ends", "ends far off", "data beyond the ends", "l1", "measured", "features"],
)
def test_an_output_activation_is_undone_where_samples_come_near_its_ends_and_data_lie_within(
    ends: tuple[float, float] | None, difference: Difference, eight_bit: bool, expected: OutputActivation | None
) -> None:
    made = torch.tanh(S)
    assert output_activation_of(ends, made, made, difference, eight_bit) == expected
