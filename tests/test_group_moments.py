"""Moments of groups against numpy and scikit-learn, and against themselves in parts."""

import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import Tensor
from torch.nn.functional import one_hot
from torch.testing import assert_close

from latentry.numerics.group_moments import group_moments, merge_all_groups


def labelled(n: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    y = torch.randint(3, (n,), generator=rng)
    return torch.randn(n, 4, dtype=torch.float64, generator=rng) + 2 * one_hot(y, 4) + 1e5, y


def test_known_labels_give_the_means_and_the_covariance_of_a_discriminant_analysis(rng: torch.Generator) -> None:
    x, y = labelled(200, rng)
    found = group_moments(x, one_hot(y).double())
    oracle = LinearDiscriminantAnalysis(store_covariance=True).fit(x.numpy(), y.numpy())
    assert_close(found.means, torch.from_numpy(oracle.means_))
    assert_close(found.within / len(x), torch.from_numpy(oracle.covariance_), rtol=1e-6, atol=1e-8)
    assert found.counts.tolist() == y.bincount().tolist()


def test_parts_merge_to_the_whole_whatever_the_split(rng: torch.Generator) -> None:
    x, _ = labelled(101, rng)
    p = torch.randn(101, 3, dtype=torch.float64, generator=rng).softmax(1)
    whole = group_moments(x, p)
    sizes = [1, 50, 7, 43]
    merged = merge_all_groups(group_moments(*part) for part in zip(x.split(sizes), p.split(sizes), strict=True))
    assert_close(merged.means, whole.means, rtol=1e-13, atol=0)
    assert_close(merged.within, whole.within, rtol=1e-8, atol=1e-8)
    assert merged.counts.tolist() == p.argmax(1).bincount(minlength=3).tolist()


def test_scatter_within_groups_is_the_weighted_scatter_about_their_means(rng: torch.Generator) -> None:
    x = torch.randn(50, 4, dtype=torch.float64, generator=rng)
    p = torch.randn(50, 3, dtype=torch.float64, generator=rng).softmax(1)
    found = group_moments(x, p)
    deviations = x[:, None] - (p.mT @ x / p.sum(0)[:, None])[None]
    assert_close(found.within, torch.einsum("nk,nki,nkj->ij", p, deviations, deviations))


def test_a_group_without_rows_adds_nothing(rng: torch.Generator) -> None:
    x, y = labelled(30, rng)
    three, four = (group_moments(x, one_hot(y, groups).double()) for groups in (3, 4))
    assert_close(four.within, three.within)
    assert four.counts[3] == 0
    assert four.means[3].isnan().all()


def test_weights_that_are_no_shares_are_refused() -> None:
    x = torch.zeros(2, 3)
    for weights in (torch.ones(2, 2), torch.tensor([[2.0, -1.0], [1.0, 0.0]]), torch.full((2, 2), torch.nan)):
        with pytest.raises(ValueError, match="sum to 1"):
            group_moments(x, weights)
