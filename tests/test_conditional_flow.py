"""The flow: invertible, a density, and numbers that know nothing of the companion."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from latentry.holding import require_generator
from latentry.latent.recovery import recover_codes
from latentry.models.pretrained import load_network, save_network
from latentry.networks import ConditionalFlow, FlowDecoder, Perceptron
from latentry.priors import Normal


@pytest.fixture
def flow() -> ConditionalFlow:
    torch.manual_seed(0)
    flow = ConditionalFlow(3, 2, transforms=2, hidden=(8,)).double()
    flow.standardise_(torch.randn(50, 3).double() * 2 + 1, torch.randn(50, 2).double())
    return flow


def pairs(n: int = 6) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(1)
    return torch.randn(n, 3, generator=rng).double(), torch.randn(n, 2, generator=rng).double()


def test_codes_are_found_again_with_their_companions(flow: ConditionalFlow) -> None:
    z, context = pairs()
    assert_close(flow.inverse(flow(z, context), context), z)
    assert (flow.inverse(flow(z, context), context + 1) - z).abs().max() > 1e-3  # with another, other codes


def test_log_prob_is_the_normal_density_times_the_determinant(flow: ConditionalFlow) -> None:
    z, context = pairs(2)
    for row, companion in zip(z, context, strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda v, c=companion: flow(v[None], c[None])[0], row)
        w = flow(row[None], companion[None])[0]
        expected = -0.5 * w.square().sum() - 1.5 * math.log(2 * math.pi) + jacobian.slogdet()[1]
        assert_close(flow.log_prob(row[None], companion[None])[0], expected)


def test_what_companions_displace_is_counted_from_what_all_have_in_common(flow: ConditionalFlow) -> None:
    z, context = pairs()
    u = flow.first().transform((z - flow.loc) / flow.scale)
    assert_close(flow.displaced(z, context)[1], (flow(z, context) - u).square().sum(1))


@pytest.mark.parametrize(
    "sizes", [{"dim": 0}, {"context": 0}, {"transforms": 0}, {"common": 0}, {"bins": 1}, {"hidden": (0,)}]
)
def test_sizes_below_one_are_refused(sizes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected sizes of at least 1"):
        ConditionalFlow(**{"dim": 3, "context": 2, **sizes})


def test_a_decoder_behind_a_flow_is_a_generator_that_is_saved_and_recovered(flow: ConditionalFlow, tmp_path: Any) -> None:
    inner = Perceptron(5, 9, (12,), 0.2).double()
    decoder = FlowDecoder(inner, flow)
    z, context = pairs()
    assert_close(decoder(torch.cat([context, flow(z, context)], 1)), inner(torch.cat([context, z], 1)))
    require_generator(decoder, torch.randn(3, 5).double())
    save_network(tmp_path, decoder.float(), Normal(5), {})
    again = load_network(tmp_path).network
    w = torch.randn(4, 5)
    assert_close(again(w), decoder(w))
    decoder.double()
    found = recover_codes(decoder, decoder(w.double()).detach(), Normal(5).double(), rng=torch.Generator().manual_seed(2))
    assert found.reconstruction_error.median() < 1e-8
