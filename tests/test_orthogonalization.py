"""Orthonormal rows against scipy and against what each way promises."""

import numpy as np
import pytest
import scipy
import torch
from torch import Tensor
from torch.testing import assert_close

from latentry.numerics.orthogonalization import complete, gram_schmidt, loewdin, orthogonal_complement


def rows(k: int, d: int, rng: torch.Generator) -> Tensor:
    return torch.randn(k, d, dtype=torch.float64, generator=rng)


def identity(k: int) -> Tensor:
    return torch.eye(k, dtype=torch.float64)


def test_gram_schmidt_leaves_the_first_row_and_each_span_of_first_rows(rng: torch.Generator) -> None:
    v = rows(5, 8, rng)
    u = gram_schmidt(v)
    assert_close(u[0], v[0] / v[0].norm())
    assert_close(u @ u.mT, identity(5))
    parts = v @ u.mT  # v_i has no part in later rows, and is on the side of its own
    assert_close(parts.triu(1), torch.zeros(5, 5, dtype=torch.float64), atol=1e-12, rtol=0)
    assert (parts.diagonal() > 0).all()


def test_gram_schmidt_is_the_qr_decomposition_with_positive_diagonal(rng: torch.Generator) -> None:
    v = rows(6, 9, rng)
    q, r = scipy.linalg.qr(v.numpy().T, mode="economic")
    assert_close(gram_schmidt(v), torch.from_numpy((q * np.sign(np.diag(r))).T.copy()))


def test_nearly_dependent_rows_come_out_orthonormal_to_rounding() -> None:
    """Läuchli's matrix of condition 1e8: one pass of the modified form leaves inner products of 1e-8."""
    v = torch.cat([torch.ones(4, 1, dtype=torch.float64), 1e-8 * identity(4)], 1)
    u = gram_schmidt(v)
    assert (u @ u.mT - identity(4)).abs().max() < 1e-14


def test_loewdin_is_the_polar_factor_and_the_nearest_orthonormal_set(rng: torch.Generator) -> None:
    v = rows(4, 7, rng)
    u = loewdin(v)
    assert_close(u, torch.from_numpy(scipy.linalg.polar(v.numpy(), side="left")[0]))
    nearest = (u - v).norm()
    assert nearest < (gram_schmidt(v) - v).norm()
    for _ in range(50):
        turned = torch.linalg.matrix_exp(0.1 * (skew := rows(4, 4, rng)) - 0.1 * skew.mT) @ u
        assert nearest < (turned - v).norm()


def test_loewdin_has_no_order_and_gram_schmidt_has(rng: torch.Generator) -> None:
    v, order = rows(5, 8, rng), torch.tensor([3, 0, 4, 1, 2])
    assert_close(loewdin(v[order]), loewdin(v)[order])
    assert (gram_schmidt(v[order]) - gram_schmidt(v)[order]).norm() > 0.1


def test_orthonormal_rows_are_left_alone(rng: torch.Generator) -> None:
    u = loewdin(rows(5, 8, rng))
    assert_close(gram_schmidt(u), u)
    assert_close(loewdin(u), u)


def test_a_set_is_completed_in_the_order_of_the_candidates(rng: torch.Generator) -> None:
    u, candidates = loewdin(rows(2, 5, rng)), rows(2, 5, rng)
    repeated = torch.stack([u[0] - 2 * u[1], candidates[0], 3 * candidates[0] + u[1], candidates[1], *rows(4, 5, rng)])
    whole = complete(u, repeated)
    assert_close(whole @ whole.mT, identity(5))
    assert_close(whole[:4], gram_schmidt(torch.cat([u, candidates])))
    assert len(complete(u, repeated[:3])) == 3  # one new direction among three


def test_the_complement_holds_all_that_is_orthogonal(rng: torch.Generator) -> None:
    v = rows(3, 7, rng)
    v = torch.cat([v, v[:1] + v[1:2]])  # dependent
    beside = orthogonal_complement(v)
    assert beside.shape == (4, 7)
    assert_close(beside @ beside.mT, identity(4))
    assert_close(beside @ v.mT, torch.zeros(4, 4, dtype=torch.float64), atol=1e-12, rtol=0)
    assert_close(orthogonal_complement(v[:0]), identity(7))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_precision_stays_that_of_the_rows(dtype: torch.dtype, rng: torch.Generator) -> None:
    v = rows(3, 5, rng).to(dtype)
    for result in (gram_schmidt(v), loewdin(v), complete(loewdin(v), v), orthogonal_complement(v)):
        assert result.dtype == dtype


def test_dependent_rows_are_named_and_bad_ones_refused(rng: torch.Generator) -> None:
    v = rows(3, 5, rng)
    dependent = torch.stack([v[0], v[1], v[0] - v[1], v[2]])
    with pytest.raises(ValueError, match="row 2 of 4 is a combination"):
        gram_schmidt(dependent)
    with pytest.raises(ValueError, match="got 4 of rank 3"):
        loewdin(dependent)
    for way in (gram_schmidt, loewdin):
        with pytest.raises(ValueError, match="1 <= k <= d"):
            way(rows(4, 3, rng))
        with pytest.raises(ValueError, match="NaN or infinity in 1 of 2"):
            way(torch.tensor([[1.0, 0.0], [torch.nan, 1.0]]))
    with pytest.raises(ValueError, match="expected orthonormal rows"):
        complete(v, v)
    with pytest.raises(ValueError, match="finite"):
        complete(loewdin(v), torch.full((1, 5), torch.inf, dtype=torch.float64))
