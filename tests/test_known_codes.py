"""Errors of codes in units of the prior, and where data determine them."""

import pytest
import torch
from torch.testing import assert_close

from latentry.latent.known_codes import FOUND, code_errors, identifiable_errors
from latentry.priors import GammaRadius, Normal, SavedPrior, SphericalCauchy, Uniform

# torch itself, when forward derivatives are first taken
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")


@pytest.mark.parametrize("prior", [Normal(64), Normal(64, scale=3.0), Uniform(64), GammaRadius(64)])
def test_two_independent_codes_are_two_apart_whatever_their_prior(prior: SavedPrior, rng: torch.Generator) -> None:
    z_hat, z = prior.sample((2, 4000), rng=rng)
    error = code_errors(z_hat, z, prior)
    assert_close(error.mean().item(), 2.0, rtol=0.05, atol=0)
    assert not (error < FOUND).any()
    assert_close(code_errors(z, z, prior), torch.zeros(4000))


def test_an_error_along_a_direction_that_leaves_no_trace_is_not_counted_in_the_identifiable_subspace() -> None:
    def generator(z: torch.Tensor) -> torch.Tensor:
        return z * torch.tensor([1.0, 2.0, 1e-5])

    prior = Normal(3, scale=2.0**0.5)
    z, z_hat = torch.zeros(2, 3), torch.tensor([[0.0, 0.0, 3.0], [3.0, 0.0, 0.0]])
    found = identifiable_errors(generator, z_hat, z, prior)
    assert_close(code_errors(z_hat, z, prior), torch.tensor([1.5, 1.5]))
    assert_close(found.error, torch.tensor([0.0, 9 / 2 / 2]))
    assert found.rank.tolist() == [2, 2]


def test_a_prior_without_variance_has_no_unit_of_the_identifiable_subspace() -> None:
    with pytest.raises(ValueError, match="expected a prior of finite variance"):
        identifiable_errors(lambda z: z, torch.zeros(1, 3), torch.zeros(1, 3), SphericalCauchy(3))
