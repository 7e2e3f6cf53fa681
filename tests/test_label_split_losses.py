"""The losses of the label split against torch's distributions, and at values known by hand."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal
from torch.testing import assert_close

from latentry.models.label_split_losses import (
    confusion_loss,
    mixture_classification_loss,
    mixture_likelihood_loss,
    mixture_logits,
    three_term_hinge,
)
from latentry.priors import DiagonalNormal, TrainedMixture

N, K, D = 12, 4, 3


@pytest.fixture
def parts(rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Codes, labels, means and precisions."""
    z, loc = (torch.randn(n, D, dtype=torch.float64, generator=rng) for n in (N, K))
    precision = torch.rand(K, D, dtype=torch.float64, generator=rng) * 3 + 0.1
    return z, torch.arange(N) % K, loc, precision


def components(loc: Tensor, precision: Tensor) -> Independent:
    return Independent(Normal(loc, precision.rsqrt()), 1)


Parts = tuple[Tensor, Tensor, Tensor, Tensor]


def test_logits_are_log_densities_but_for_a_constant(parts: Parts) -> None:
    z, _, loc, precision = parts
    log_p = components(loc, precision).log_prob(z[:, None])
    assert_close(mixture_logits(z, loc, precision), log_p + D / 2 * math.log(2 * math.pi))


def test_classification_is_the_cross_entropy_of_the_posterior(parts: Parts) -> None:
    z, y, loc, precision = parts
    posterior = components(loc, precision).log_prob(z[:, None]).log_softmax(1)
    assert_close(mixture_classification_loss(z, y, loc, precision), -posterior[range(N), y].mean())


def test_a_margin_asks_for_shorter_distances_to_ones_own_component(parts: Parts) -> None:
    z, y, loc, precision = parts
    root, d = precision.prod(1).sqrt(), 0.5 * (precision * (z[:, None] - loc).square()).sum(2)
    stretched = 1 + 0.3 * torch.eye(K, dtype=torch.float64)[y]
    terms = root * torch.exp(-stretched * d)  # the formula as it is printed
    expected = -(terms[range(N), y] / terms.sum(1)).log().mean()
    found = mixture_classification_loss(z, y, loc, precision, margin=0.3)
    assert_close(found, expected)
    assert found > mixture_classification_loss(z, y, loc, precision)


def test_the_worst_placed_codes_keep_their_gradient() -> None:
    loc = torch.tensor([[0.0], [60.0]])
    z = torch.tensor([[60.0]], requires_grad=True)
    loss = mixture_classification_loss(z, torch.tensor([0]), loc, torch.ones(2, 1))
    loss.backward()
    assert_close(loss.item(), 1800.0)  # the published code stops at 9.2, with no gradient
    assert z.grad is not None
    assert_close(z.grad.item(), 60.0)


def test_likelihood_is_the_negative_log_density_of_ones_own_component_but_for_a_constant(parts: Parts) -> None:
    z, y, loc, precision = parts
    log_p = components(loc[y], precision[y]).log_prob(z)
    assert_close(
        mixture_likelihood_loss(z, DiagonalNormal(loc[y], precision[y].rsqrt())),
        -(log_p + D / 2 * math.log(2 * math.pi)).mean(),
    )


def test_a_trained_mixture_gives_the_component_of_each_label() -> None:
    mixture = TrainedMixture(3, 2)
    p = mixture(torch.tensor([2, 0]))
    assert_close(p.loc, mixture.loc[[2, 0]])
    assert_close(p.scale, torch.ones(2, 2))


def test_confusion_is_least_where_the_classifier_answers_the_target_whatever_it_sees() -> None:
    target = torch.tensor([0.5, 0.25, 0.25])
    entropy = -(target * target.log()).sum()
    assert_close(confusion_loss(target.log().expand(6, 3) + 5.0, target), entropy)
    assert confusion_loss(torch.randn(6, 3), target) > entropy
    assert_close(confusion_loss(torch.zeros(2, 4), torch.full((4,), 0.25)), torch.tensor(math.log(4)))


def test_the_hinge_has_three_terms_at_known_scores() -> None:
    real, sampled, reconstructed = torch.tensor([0.0, 2.0]), torch.tensor([-3.0]), torch.tensor([0.5, -0.5])
    assert_close(three_term_hinge(real, sampled, reconstructed), torch.tensor(0.5 + 0.0 + 1.0))
