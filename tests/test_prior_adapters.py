"""Priors that latentry did not make: how they are asked, and what is said of those that answer otherwise."""

from typing import Any

import pytest
import torch
from torch import Tensor

import latentry as lt
from latentry.priors.adapters import draw

MATRIX = torch.randn(4, 9, generator=torch.Generator().manual_seed(0))


def generator(z: Tensor) -> Tensor:
    return z @ MATRIX


class Written:
    """As the message asks: shape a tuple, rng without a default of its own."""

    latent_dim = 4

    def __init__(self) -> None:
        self.shapes: list[Any] = []

    def sample(self, shape: Any, rng: torch.Generator | None) -> Tensor:
        self.shapes.append(shape)
        return torch.randn(*shape, 4, generator=rng)


CALLS = {
    "recover_codes": lambda prior: lt.recover_codes(generator, MATRIX[:2], prior, progress=None),
    "is_from": lambda prior: lt.metrics.is_from(generator, MATRIX[:2], prior, progress=None),
    "fit_inverse": lambda prior: lt.fit_inverse(
        generator, prior, lt.settings.InverseSettings(steps=2, batch_size=8), progress=None
    ),
    "quasi_eigenvectors": lambda prior: lt.quasi_eigenvectors(
        generator, lambda x: x[:, :2], prior, per_label=30, progress=None
    ),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_prior_is_always_asked_with_a_tuple(call: str) -> None:
    prior = Written()
    CALLS[call](prior)
    assert prior.shapes
    assert all(isinstance(shape, tuple) for shape in prior.shapes)


@pytest.mark.parametrize("call", CALLS)
def test_an_error_of_the_priors_own_code_is_one_sentence(call: str) -> None:
    class Counts(Written):
        def sample(self, shape: Any, rng: torch.Generator | None) -> Tensor:
            return torch.randn(int(shape), 4, generator=rng)

    with pytest.raises(ValueError, match=r"of the prior Counts to give a tensor of shape .*TypeError: .*always a tuple"):
        CALLS[call](Counts())


def test_codes_of_another_shape_are_refused() -> None:
    class Short(Written):
        def sample(self, shape: Any, rng: torch.Generator | None) -> Tensor:
            return torch.randn(*shape, 3, generator=rng)

    with pytest.raises(ValueError, match=r"a tensor of shape \(5, 4\) for shape=\(5,\), got shape \(5, 3\)"):
        draw(Short(), (5,))


def test_what_samples_cannot_tell_says_what_it_needs() -> None:
    z = torch.randn(30, 4)
    with pytest.raises(ValueError, match=r"samples alone are not enough: give yours a `marginal`, or `to_normal` and"):
        lt.goodness_of_fit(z, Written())
    for call in (lambda: lt.interpolate(z[:2], z[2:4], 0.5, Written()),):
        with pytest.raises(ValueError, match="samples alone are not enough: give yours a `marginal`"):
            call()
