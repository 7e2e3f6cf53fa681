"""Centred alignment is 0 for independent and 1 for equal sets, whatever their units, and sees dependence of any form."""

import torch
from torch import Tensor
from torch.testing import assert_close

from latentry.numerics.hsic import centred_alignment, gaussian_kernel, label_kernel


def alignment(z: Tensor, other: Tensor) -> float:
    return centred_alignment(gaussian_kernel(z), gaussian_kernel(other)).item()


def test_the_trace_with_centring_matrices_is_what_is_normalised(rng: torch.Generator) -> None:
    k, l = gaussian_kernel(torch.randn(9, 2, generator=rng)), label_kernel(torch.tensor([0, 1, 2] * 3))  # noqa: E741
    centring = torch.eye(9) - 1 / 9
    between, within, within_labels = (torch.trace(a @ centring @ b @ centring) for a, b in ((k, l), (k, k), (l, l)))
    assert_close(centred_alignment(k, l), between / (within * within_labels).sqrt())


def test_a_set_is_aligned_with_itself_in_any_units_and_turned_any_way(rng: torch.Generator) -> None:
    z = torch.randn(40, 3, generator=rng)
    turned = 7 * z @ torch.linalg.qr(torch.randn(3, 3, generator=rng)).Q + 2
    assert abs(alignment(z, z) - 1) < 1e-5
    assert abs(alignment(z, turned) - 1) < 1e-4


def test_dependence_without_correlation_is_seen_and_independence_is_not(rng: torch.Generator) -> None:
    z = torch.randn(400, 1, generator=rng)
    assert alignment(z, z.square()) > 0.2
    assert alignment(z, torch.randn(400, 1, generator=rng)) < 0.02


def test_labels_align_with_codes_that_know_them(rng: torch.Generator) -> None:
    y = torch.arange(300) % 3
    z = torch.randn(300, 4, generator=rng)
    told = z + 3 * torch.nn.functional.one_hot(y, 4)
    assert centred_alignment(gaussian_kernel(told), label_kernel(y)) > 0.3
    assert centred_alignment(gaussian_kernel(z), label_kernel(y)) < 0.05


def test_one_label_throughout_is_aligned_with_nothing(rng: torch.Generator) -> None:
    z = torch.randn(20, 2, generator=rng).requires_grad_(True)
    alone = centred_alignment(gaussian_kernel(z), label_kernel(torch.zeros(20, dtype=torch.long)))
    alone.backward()
    assert alone == 0
    assert z.grad is not None
    assert z.grad.isfinite().all()


def test_descent_takes_a_label_out_of_codes(rng: torch.Generator) -> None:
    y = torch.arange(120) % 2
    z = (torch.randn(120, 2, generator=rng) + 2 * y[:, None]).requires_grad_(True)
    optimizer = torch.optim.Adam([z], lr=0.05)
    known = label_kernel(y)
    before = centred_alignment(gaussian_kernel(z), known).item()
    for _ in range(60):
        optimizer.zero_grad()
        loss = centred_alignment(gaussian_kernel(z), known)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1 * before
