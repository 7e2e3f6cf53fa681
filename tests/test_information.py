"""Bounds of mutual information on mixtures whose information is known."""

import math

import pytest
import torch
from scipy import integrate, stats
from torch import Tensor

from latentry.evaluation.information import active_units, information_from_posterior, label_information


def two_normals(gap: float, n: int, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Posterior of means N(+-gap / 2, 1 / 2) and variance 1 / 2: q(z | c) = N(+-gap / 2, 1)."""
    y = torch.arange(n) % 2
    mean = math.sqrt(0.5) * torch.randn(n, 1, dtype=torch.float64, generator=rng) + gap * (y[:, None] - 0.5)
    return mean, torch.full_like(mean, math.log(0.5)), y


def exact(gap: float) -> float:
    """I(z; c) of two unit normals with equal chances."""
    a, b = stats.norm(-gap / 2), stats.norm(gap / 2)

    def integrand(z: float) -> float:
        return a.pdf(z) * (a.logpdf(z) - math.log((a.pdf(z) + b.pdf(z)) / 2))

    return float(integrate.quad(integrand, -20, 20)[0])


@pytest.mark.parametrize("gap", [0.0, 1.0, 3.0])
def test_the_bounds_hold_the_exact_information_between_them(gap: float, rng: torch.Generator) -> None:
    found = label_information(*two_normals(gap, 2000, rng), rng=rng)
    spread = (found.upper.high - found.upper.low) / 2
    assert found.lower.value - spread < exact(gap) < found.upper.value + spread
    assert found.upper.value - found.lower.value < 0.06
    assert found.entropy == pytest.approx(math.log(2))


def test_codes_apart_from_each_other_can_only_be_bounded_by_the_entropy(rng: torch.Generator) -> None:
    mean = torch.randn(200, 40, dtype=torch.float64, generator=rng)
    y = torch.arange(200) % 4
    found = label_information(mean, torch.full_like(mean, -12.0), y, rng=rng)
    assert found.upper.value == pytest.approx(math.log(4))
    assert found.lower.value < 0


def test_chunks_change_nothing(rng: torch.Generator) -> None:
    mean, log_variance, y = two_normals(1.0, 60, rng)
    whole, parts = (
        label_information(mean, log_variance, y, rng=torch.Generator().manual_seed(1), chunk=chunk) for chunk in (60, 7)
    )
    assert whole.lower.value == pytest.approx(parts.lower.value)
    assert whole.upper.value == pytest.approx(parts.upper.value)


def test_a_posterior_gives_what_it_is_sure_of() -> None:
    y = torch.tensor([0, 1, 2, 3] * 5)
    sure = torch.nn.functional.one_hot(y, 4).double().clamp(min=1e-30).log()
    assert information_from_posterior(sure, y).value == pytest.approx(math.log(4))
    assert information_from_posterior(torch.full((20, 4), -math.log(4)), y).value == pytest.approx(0, abs=1e-6)


def test_active_units_are_those_whose_means_vary() -> None:
    mean = torch.randn(500, 3) * torch.tensor([1.0, 0.2, 0.05])
    assert active_units(mean).tolist() == [True, True, False]
    assert active_units(mean, torch.tensor([1.0, 9.0, 0.01])).tolist() == [True, False, True]


def test_bad_input_is_refused() -> None:
    mean, y = torch.zeros(4, 2), torch.tensor([0, 0, 1, 1])
    for arguments, said in (
        ((mean, mean[:, :1], y), "of each datum"),
        ((mean, mean * math.nan, y), "finite"),
        ((mean, mean, y * 0), "two classes or more"),
        ((mean, mean, torch.tensor([0, 0, 0, 1])), "two data or more each"),
    ):
        with pytest.raises(ValueError, match=said):
            label_information(*arguments)
    with pytest.raises(ValueError, match="a row for each"):
        information_from_posterior(torch.zeros(3, 2), y)
    with pytest.raises(ValueError, match="two data or more"):
        active_units(mean[:1])
