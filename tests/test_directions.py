"""Directions without labels, on codes and layers whose own directions are known."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.testing import assert_close

from latentry.latent.directions import (
    activation_directions,
    first_weight_directions,
    match_labels,
    principal_directions,
    random_directions,
)
from latentry.latent.quasi_eigenbasis import label_ranks, spectral_labels
from latentry.latent.spectral import basis_from_codes
from latentry.networks import DCGANGenerator
from latentry.priors import Normal

D = 6


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def matrix(rows: int) -> Tensor:
    """Singular values 5, 4, ... apart, so that directions are unique."""
    left, right = (torch.linalg.qr(torch.randn(n, n, generator=seeded(n + k)))[0] for k, n in ((0, rows), (1, D)))
    sizes = torch.arange(5.0, 5.0 - D, -1)[: min(rows, D)].clamp(min=0.2)
    return left[:, : len(sizes)] * sizes @ right[: len(sizes)]


def cosines(a: Tensor, b: Tensor) -> Tensor:
    return torch.cosine_similarity(a.double(), b.double()).abs()


@pytest.mark.parametrize("cut", [lambda z: z, lambda z: iter(z.split(37))], ids=["whole", "stream"])
def test_principal_directions_are_those_of_scikit_learn(cut: Callable[[Tensor], Tensor]) -> None:
    z = torch.randn(500, D, generator=seeded()) @ matrix(D) + 20
    basis, oracle = principal_directions(cut(z)), PCA().fit(z.double().numpy())
    assert cosines(basis.vectors, torch.from_numpy(oracle.components_)).min() > 1 - 1e-6
    assert_close(basis.offset, torch.from_numpy(oracle.mean_.astype(np.float32)))
    assert_close(basis.reconstruct(basis.coefficients(z)), z)
    assert basis.num_labels == 0
    assert principal_directions(z, components=2).vectors.shape == (2, D)


def test_of_a_linear_layer_principal_activations_and_first_weights_are_the_same_directions() -> None:
    """Both are the right singular vectors of its matrix, where codes are isotropic."""
    a = matrix(9)
    layer = nn.Linear(D, 9)
    layer.weight.data.copy_(a)
    truth = torch.linalg.svd(a).Vh
    by_weights = first_weight_directions(layer, Normal(D))
    by_activations = activation_directions(layer, Normal(D), samples=20_000, components=4, rng=seeded())
    assert cosines(by_weights.vectors, truth).min() > 1 - 1e-5
    assert cosines(by_activations.vectors, truth[:4]).min() > 0.99
    assert by_weights.generator_fingerprint is not None


def test_components_of_activations_are_carried_back_to_codes_by_regression() -> None:
    """A layer that mixes codes with its own rotation: the oracle is scikit-learn's components and least squares."""
    rotate = torch.linalg.qr(torch.randn(12, 12, generator=seeded(8)))[0]

    def layer(z: Tensor) -> Tensor:
        return torch.cat([z @ matrix(D).mT, (z @ matrix(D).mT).relu()], 1) @ rotate + 5

    basis = activation_directions(layer, Normal(D), samples=3000, batch_size=700, components=3, rng=seeded())
    rng = seeded()
    z = torch.cat([Normal(D).sample(size, rng=rng) for size in (700, 700, 700, 700, 200)]).double()
    t = PCA(3).fit_transform(layer(z.float()).double().numpy())
    regressed = np.linalg.lstsq(np.hstack([t, np.ones((3000, 1))]), z.numpy(), rcond=None)[0][:3]
    assert cosines(basis.vectors, torch.from_numpy(regressed)).min() > 1 - 1e-6
    assert_close(basis.vectors.norm(dim=1), basis.vectors.norm(dim=1)[:1].expand(3))


def test_the_first_layer_of_a_generator_is_found_dense_or_convolutional() -> None:
    generator = DCGANGenerator(D, width=1)
    dense = generator.project[0].weight
    assert_close(first_weight_directions(generator, Normal(D)).vectors, first_weight_directions(dense, Normal(D)).vectors)
    convolution = nn.ConvTranspose2d(D, 3, 4)
    maps = convolution.weight.flatten(1).mT
    assert_close(first_weight_directions(convolution, Normal(D)).vectors, first_weight_directions(maps, Normal(D)).vectors)


def test_random_directions_are_orthonormal_and_favour_no_axis() -> None:
    bases = [random_directions(Normal(D), rng=seeded(seed)) for seed in range(300)]
    assert all(basis.orthogonal for basis in bases)
    rows = torch.stack([normalize(basis.vectors) for basis in bases])
    assert rows.mean(0).abs().max() < 4 / (300 * D) ** 0.5  # each entry has mean 0 and variance 1 / d
    assert_close(rows.square().mean(0), torch.full((D, D), 1 / D), atol=0.06, rtol=0)
    assert bases[0].vectors.norm(dim=1)[0].item() == pytest.approx(D**0.5, rel=0.1)


def test_labels_find_their_own_rows_again_whatever_their_order_and_sign() -> None:
    y = torch.arange(300) % 3
    z = 3 * torch.eye(D)[y] + 0.3 * torch.randn(300, D, generator=seeded())
    basis = basis_from_codes(z, y, centred=False)
    order, signs = torch.tensor([4, 2, 0, 5, 1, 3]), torch.tensor([1.0, -1, -1, 1, 1, -1])
    shuffled = replace(
        basis, vectors=basis.vectors[order] * signs[:, None], num_labels=0, label_means=basis.label_means[:0], counts=()
    )
    found = match_labels(shuffled, z, y)
    assert_close(found.vectors[:3], basis.vectors[:3])
    assert found.counts == (100, 100, 100)
    assert_close(found.label_means, basis.label_means)
    assert (spectral_labels(found, z) == y).all()
    assert (label_ranks(found, z, y) == 1).all()


def test_misuse_is_named() -> None:
    z = torch.randn(20, D)
    prior = Normal(D)
    for wrong in (lambda: principal_directions(iter(())), lambda: principal_directions(iter((z[0],)))):
        with pytest.raises(ValueError, match="batches of them"):
            wrong()
    with pytest.raises(ValueError, match="components <= 6, got 7"):
        principal_directions(z, components=7)
    with pytest.raises(ValueError, match="components <= 6, got 0"):
        random_directions(prior, components=0)
    with pytest.raises(ValueError, match="at most 4096 activations, got 4098"):
        activation_directions(lambda z: z.repeat(1, 683), prior, samples=4, batch_size=2)
    with pytest.raises(ValueError, match="3 components that vary, got 2"):
        activation_directions(lambda z: z[:, [0, 1, 0]], prior, samples=50, components=3)
    with pytest.raises(ValueError, match="samples and batch_size"):
        activation_directions(lambda z: z, prior, samples=1)
    with pytest.raises(ValueError, match=r"matrix \(D, 6\) .* got \(9, 5\)"):
        first_weight_directions(torch.zeros(9, 5), prior)
    with pytest.raises(ValueError, match="found none"):
        first_weight_directions(nn.ReLU(), prior)
    basis = random_directions(prior, components=2)
    with pytest.raises(ValueError, match="one row for each of 3 labels, got 2"):
        match_labels(basis, z, torch.arange(20) % 3)
    with pytest.raises(ValueError, match="label 1"):
        match_labels(basis, z, 2 * (torch.arange(20) % 2))


@pytest.mark.parametrize("kind", [nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d])
def test_first_weights_of_codes_as_one_element_are_the_matrix_that_moves_them(kind: type[nn.Module]) -> None:
    layer, prior = kind(5, 3, 2), Normal(5)
    matrix = torch.func.jacrev(lambda z: layer(z.view(1, 5, *[1] * (layer.weight.ndim - 2))).flatten())(torch.zeros(5))
    found = first_weight_directions(layer, prior).vectors
    alike = first_weight_directions(matrix, prior).vectors
    assert_close((found * alike).sum(1).abs(), found.norm(dim=1) * alike.norm(dim=1))


def test_a_layer_that_takes_labels_beside_codes_is_told_to_pass_its_columns() -> None:
    layer = nn.Linear(5 + 2, 6)
    with pytest.raises(ValueError, match=r"weight\[:, :d\]"):
        first_weight_directions(layer, Normal(5))
    assert not first_weight_directions(layer.weight[:, :5], Normal(5)).vectors.requires_grad


def test_directions_of_codes_in_a_graph_carry_none() -> None:
    z = torch.randn(40, 3).requires_grad_()
    assert not principal_directions(z).vectors.requires_grad
    assert not principal_directions(iter(z.split(10))).vectors.requires_grad
