"""What a basis promises of coefficients, filters and files, on bases that are known."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from latentry.latent.basis_files import load_basis, save_basis
from latentry.latent.quasi_eigenbasis import QuasiEigenbasis, energy_share, label_ranks, spectral_labels
from latentry.storage import read_tensors, write_tensors

D, K = 6, 3


def basis_of(vectors: Tensor, num_labels: int = K, offset: Tensor | None = None) -> QuasiEigenbasis:
    return QuasiEigenbasis(
        vectors=vectors,
        num_labels=num_labels,
        offset=vectors.new_zeros(vectors.shape[1]) if offset is None else offset,
        method="given",
        label_means=vectors[:num_labels] * 0.5,
        counts=(7,) * num_labels,
        condition_number=1.0,
        prior="Normal(latent_dim=6)",
    )


@pytest.fixture
def codes(rng: torch.Generator) -> Tensor:
    return torch.randn(20, D, dtype=torch.float64, generator=rng)


@pytest.fixture
def orthogonal(rng: torch.Generator) -> QuasiEigenbasis:
    q = torch.linalg.qr(torch.randn(D, D, dtype=torch.float64, generator=rng))[0]
    return basis_of(2.5 * q, offset=torch.arange(D, dtype=torch.float64))


@pytest.fixture
def oblique(rng: torch.Generator) -> QuasiEigenbasis:
    return basis_of(torch.randn(D, D, dtype=torch.float64, generator=rng))


def test_coefficients_and_reconstruction_are_inverse(
    orthogonal: QuasiEigenbasis, oblique: QuasiEigenbasis, codes: Tensor
) -> None:
    for basis in (orthogonal, oblique):
        c = basis.coefficients(codes)
        assert_close(basis.reconstruct(c), codes)
        assert_close(basis.coefficients(basis.reconstruct(c)), c)


def test_in_an_orthogonal_basis_a_coefficient_is_the_papers_over_the_squared_length(
    orthogonal: QuasiEigenbasis, codes: Tensor
) -> None:
    papers = (codes - orthogonal.offset) @ orthogonal.vectors.mT
    assert_close(orthogonal.coefficients(codes), papers / orthogonal.vectors.square().sum(1))
    assert orthogonal.orthogonal


def test_dual_rows_meet_their_own_row_alone(oblique: QuasiEigenbasis) -> None:
    assert not oblique.orthogonal
    assert_close(oblique.dual @ oblique.vectors.mT, torch.eye(D, dtype=torch.float64))


@pytest.mark.parametrize(("smallest", "rank"), [(2e-4, 64), (0.0, 63)])
def test_rows_nearly_dependent_count_and_dependent_ones_do_not(smallest: float, rank: int, rng: torch.Generator) -> None:
    left, right = (torch.linalg.qr(torch.randn(64, 64, dtype=torch.float64, generator=rng))[0] for _ in range(2))
    sizes = torch.ones(64, dtype=torch.float64)
    sizes[-1] = smallest
    basis = basis_of((left * sizes @ right).float())
    z = torch.randn(20, 64, generator=rng)
    assert basis.dual.norm() < 2 * (64 + (1 / smallest if smallest else 0))
    lost = (basis.reconstruct(basis.coefficients(z)) - z) @ right.float().mT
    assert (lost.abs().amax(0) < 0.01).sum() == rank


def test_dependent_rows_have_the_shortest_coefficients(codes: Tensor) -> None:
    """With each axis twice, each copy takes half."""
    twice = basis_of(torch.eye(D, dtype=torch.float64).repeat(2, 1))
    assert_close(twice.coefficients(codes), codes.repeat(1, 2) / 2)
    assert_close(twice.reconstruct(twice.coefficients(codes)), codes)


def test_filters_keep_the_largest_shrink_all_or_keep_the_labels() -> None:
    basis = basis_of(torch.eye(D), offset=torch.ones(D))
    z = 1 + torch.tensor([[0.5, -3.0, 0.1, 2.0, 0.0, -0.2]])
    assert_close(basis.denoise(z, keep=2), 1 + torch.tensor([[0.0, -3.0, 0.0, 2.0, 0.0, 0.0]]))
    assert_close(basis.denoise(z, threshold=0.2), 1 + torch.tensor([[0.3, -2.8, 0.0, 1.8, 0.0, 0.0]]))
    assert_close(basis.denoise(z, labels_only=True), 1 + torch.tensor([[0.5, -3.0, 0.1, 0.0, 0.0, 0.0]]))
    assert_close(basis.denoise(z, labels_only=True, keep=1), 1 + torch.tensor([[0.0, -3.0, 0.0, 0.0, 0.0, 0.0]]))
    assert_close(basis.denoise(z, keep=D), z)
    assert_close(basis.denoise(z, threshold=0.0), z)


def test_the_label_filter_of_an_orthogonal_basis_is_a_projection(orthogonal: QuasiEigenbasis, codes: Tensor) -> None:
    once = orthogonal.denoise(codes, labels_only=True)
    assert_close(orthogonal.denoise(once, labels_only=True), once)
    assert_close(energy_share(orthogonal, once), torch.ones(len(codes), dtype=torch.float64))
    removed = codes - once
    assert_close((removed * (once - orthogonal.offset)).sum(1), torch.zeros_like(removed[:, 0]), atol=1e-9, rtol=0)


def test_a_plane_has_orthonormal_rows_the_first_along_its_row(oblique: QuasiEigenbasis) -> None:
    plane = oblique.plane(4, 1)
    assert_close(plane @ plane.mT, torch.eye(2, dtype=torch.float64))
    assert_close(plane[0], oblique.vectors[4] / oblique.vectors[4].norm())
    assert plane[1] @ oblique.vectors[1] > 0
    assert_close(oblique.vectors[1] @ plane.mT @ plane, oblique.vectors[1])


def test_the_signed_label_is_the_largest_coefficient_and_the_papers_the_largest_size() -> None:
    basis = basis_of(torch.eye(D))
    z = torch.tensor([[1.0, -4.0, 2.0, 0.5, 0, 0], [1.0, 0, 0, 0, 3.0, -5.0]])
    assert spectral_labels(basis, z).tolist() == [2, 4]
    assert spectral_labels(basis, z, signed=False).tolist() == [1, 5]
    assert spectral_labels(basis, z, labels_only=True).tolist() == [2, 0]
    assert label_ranks(basis, z, torch.tensor([0, 0])).tolist() == [2, 2]
    assert label_ranks(basis, z, torch.tensor([0, 0]), signed=False).tolist() == [3, 3]


def test_ties_count_against_the_label() -> None:
    basis = basis_of(torch.eye(D))
    assert label_ranks(basis, torch.zeros(1, D), torch.tensor([0])).tolist() == [D]


def test_isotropic_codes_have_their_largest_coefficient_at_a_label_for_a_share_k_of_m(rng: torch.Generator) -> None:
    """So no orthonormal basis can rank the true label first for more of the codes of N(0, I)."""
    basis = basis_of(torch.linalg.qr(torch.randn(D, D, generator=rng))[0])
    labels = spectral_labels(basis, torch.randn(20_000, D, generator=rng))
    assert (labels < K).double().mean().item() == pytest.approx(K / D, abs=0.015)  # four standard errors


def test_the_energy_of_isotropic_codes_in_the_label_domain_is_its_share_of_dimensions(
    oblique: QuasiEigenbasis, rng: torch.Generator
) -> None:
    z = torch.randn(20_000, D, dtype=torch.float64, generator=rng)
    assert energy_share(oblique, z).mean().item() == pytest.approx(K / D, abs=0.01)


def test_alignment_is_the_cosine_with_the_mean_after_the_offset() -> None:
    basis = replace(
        basis_of(torch.eye(D), offset=torch.ones(D)),
        label_means=1 + torch.tensor([[2.0, 0, 0, 0, 0, 0], [0, -1.0, 0, 0, 0, 0], [0, 3.0, 4.0, 0, 0, 0]]),
    )
    assert_close(basis.alignment, torch.tensor([1.0, -1.0, 0.8]))


def test_a_saved_basis_comes_back(tmp_path: Path, orthogonal: QuasiEigenbasis) -> None:
    basis = replace(orthogonal, condition_number=float("inf"), generator_fingerprint="0123456789abcdef")
    save_basis(tmp_path, basis)
    loaded = load_basis(tmp_path)
    for name in ("vectors", "offset", "label_means"):
        assert torch.equal(getattr(loaded, name), getattr(basis, name))
    for name in ("num_labels", "method", "counts", "condition_number", "generator_fingerprint", "prior"):
        assert getattr(loaded, name) == getattr(basis, name)


def test_a_basis_of_another_generator_is_refused(tmp_path: Path, orthogonal: QuasiEigenbasis) -> None:
    from latentry.latent.fingerprints import fingerprint_of

    generator = nn.Linear(D, 2)
    save_basis(tmp_path, replace(orthogonal, generator_fingerprint=fingerprint_of(generator)))
    assert load_basis(tmp_path, generator).num_labels == K
    assert load_basis(tmp_path, lambda z: z).num_labels == K  # a plain function has no weights to tell it by
    with pytest.raises(ValueError, match=r"expected the generator with weights .* find a basis of this one"):
        load_basis(tmp_path, nn.Linear(D, 2))


def test_files_of_another_kind_are_refused(tmp_path: Path, orthogonal: QuasiEigenbasis) -> None:
    save_basis(tmp_path, orthogonal)
    notes = tmp_path / "basis.json"
    notes.write_text(notes.read_text().replace("num_labels", "labels"))
    with pytest.raises(ValueError, match="does not describe a basis of this version"):
        load_basis(tmp_path)
    with pytest.raises(ValueError, match="expected a JSON file"):
        load_basis(tmp_path / "nowhere")


def test_misuse_is_named(orthogonal: QuasiEigenbasis, codes: Tensor) -> None:
    with pytest.raises(ValueError, match=r"shape \(n, 6\) .* got \(2, 5\)"):
        orthogonal.coefficients(torch.zeros(2, 5))
    with pytest.raises(ValueError, match=r"shape \(n, 6\), got \(2, 5\)"):
        orthogonal.reconstruct(torch.zeros(2, 5))
    with pytest.raises(ValueError, match="expected a filter"):
        orthogonal.denoise(codes)
    for arguments, message in (({"keep": 0}, "keep <= 6"), ({"keep": 7}, "keep <= 6"), ({"threshold": -1.0}, ">= 0")):
        with pytest.raises(ValueError, match=message):
            orthogonal.denoise(codes, **arguments)
    for pair in ((1, 1), (0, 6), (-1, 0)):
        with pytest.raises(ValueError, match="two different rows"):
            orthogonal.plane(*pair)
    with pytest.raises(ValueError, match="labels from 0 to 2"):
        label_ranks(orthogonal, codes, torch.full((20,), 3))
    with pytest.raises(ValueError, match="one label for each of 20"):
        label_ranks(orthogonal, codes, torch.zeros(3, dtype=torch.int64))
    unlabelled = basis_of(orthogonal.vectors, num_labels=0)
    with pytest.raises(ValueError, match="match_labels"):
        spectral_labels(unlabelled, codes)
    with pytest.raises(ValueError, match="match_labels"):
        unlabelled.denoise(codes, labels_only=True)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("vectors", torch.zeros(3)),
        ("vectors", torch.zeros(1, 99)),
        ("vectors", torch.full((4, 99), torch.nan)),
        ("offset", torch.zeros(2)),
        ("label_means", torch.zeros(0, 0)),
        ("condition_number", torch.zeros(2)),
    ],
)
def test_a_file_whose_tensors_do_not_fit_is_refused(
    name: str, values: Tensor, tmp_path: Path, orthogonal: QuasiEigenbasis
) -> None:
    save_basis(tmp_path, orthogonal)
    path = tmp_path / "basis.safetensors"
    write_tensors(path, {**read_tensors(path), name: values})
    with pytest.raises(ValueError, match="does not describe a basis"):
        load_basis(tmp_path)
