"""Symmetric matrices and streaming moments against torch, numpy and themselves."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from latentry.numerics.linalg import congruent_lower, gram, symmetric_eigh, with_fixed_signs
from latentry.numerics.moments import merge_all, merge_moments, moments


def samples(n: int, d: int, rng: torch.Generator) -> torch.Tensor:
    return torch.randn(n, d, dtype=torch.float64, generator=rng)


def test_eigenvalues_fall_and_the_largest_entry_of_an_eigenvector_is_positive(rng: torch.Generator) -> None:
    a = gram(samples(30, 7, rng))
    values, vectors = symmetric_eigh(a)
    assert_close(vectors * values @ vectors.mT, a)
    assert (values.diff() <= 0).all()
    assert (vectors.gather(0, vectors.abs().argmax(0, keepdim=True)) > 0).all()


def test_a_matrix_with_a_known_basis_gives_it_back_with_the_fixed_sign() -> None:
    basis = torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=torch.float64)
    _, vectors = symmetric_eigh(basis.T @ torch.diag(torch.tensor([1.0, 3.0], dtype=torch.float64)) @ basis)
    assert_close(vectors, torch.tensor([[0.8, 0.6], [0.6, -0.8]], dtype=torch.float64) * torch.tensor([1.0, -1.0]))


def test_a_matrix_with_nan_has_no_eigenvectors() -> None:
    with pytest.raises(ValueError, match="NaN"):
        symmetric_eigh(torch.full((2, 2), torch.nan))


@pytest.mark.parametrize("d", [1, 5, 256, 300, 700])
def test_products_by_strips_are_the_products(d: int, rng: torch.Generator) -> None:
    x, lower = samples(40, d, rng), samples(d, d, rng).tril()
    assert_close(gram(x), x.mT @ x)
    s = gram(x)
    assert_close(congruent_lower(lower, s).tril(), (lower.mT @ s @ lower).tril(), rtol=1e-9, atol=1e-7)


def test_moments_merge_to_those_of_all_rows_whatever_the_split(rng: torch.Generator) -> None:
    x = samples(101, 6, rng) * 3 + 1e6  # far from the origin, where sums of squares lose every digit
    parts = [moments(part) for part in x.split([1, 50, 7, 43])]
    merged, backwards = merge_all(parts), merge_all(parts[::-1])
    assert merged.count == 101
    assert_close(merged.mean, x.mean(0), rtol=1e-14, atol=0)
    assert_close(merged.covariance, torch.from_numpy(np.cov(x.numpy(), rowvar=False)), rtol=1e-9, atol=1e-9)
    assert_close(merged.scatter, backwards.scatter, rtol=1e-9, atol=1e-9)


def test_merging_keeps_the_two_parts_as_they_were(rng: torch.Generator) -> None:
    a, b = moments(samples(5, 3, rng)), moments(samples(4, 3, rng))
    before = a.scatter.clone(), b.scatter.clone()
    merge_moments(a, b)
    assert_close((a.scatter, b.scatter), before)


def test_bad_rows_and_a_covariance_of_one_row_are_refused() -> None:
    with pytest.raises(ValueError, match="in 1 of 2"):
        moments(torch.tensor([[0.0], [torch.nan]]))
    with pytest.raises(ValueError, match="at least one row"):
        moments(torch.zeros(0, 3))
    with pytest.raises(ValueError, match="at least two rows"):
        _ = moments(torch.zeros(1, 3)).covariance


def test_rounding_has_no_say_in_a_sign(rng: torch.Generator) -> None:
    """Axes of a Hadamard matrix, whose entries are all as large: noise of 1e-15 must not turn any of them round."""
    hadamard = torch.tensor([[1.0]], dtype=torch.float64)
    for _ in range(3):
        hadamard = torch.cat([torch.cat([hadamard, hadamard], 1), torch.cat([hadamard, -hadamard], 1)])
    axes = hadamard / 8**0.5
    scatter = axes.mT @ torch.arange(8, 0, -1, dtype=torch.float64).diag() @ axes
    _, expected = symmetric_eigh(scatter)
    assert_close(expected[0], torch.full((8,), 8**-0.5, dtype=torch.float64))  # the first of all
    for _ in range(20):
        noise = 1e-15 * torch.randn(8, 8, generator=rng, dtype=torch.float64)
        _, found = symmetric_eigh(scatter + noise + noise.mT)
        assert_close(found, expected, rtol=0, atol=1e-12)
    _, single = symmetric_eigh(scatter.float())
    assert_close(single.double(), expected, rtol=0, atol=1e-5)


def test_signs_of_rows_are_those_of_their_largest_entry() -> None:
    rows = torch.tensor([[0.1, -3.0, 2.0], [2.0, -2.0, 1.0], [-2.0, 2.0, 2.0], [0.0, 0.0, 0.0]])
    assert torch.equal(with_fixed_signs(rows), rows * torch.tensor([[-1.0], [1.0], [-1.0], [1.0]]))
    assert with_fixed_signs(rows[:0]).shape == (0, 3)
