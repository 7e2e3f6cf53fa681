"""Normals and Fisher's directions, on codes whose boundaries are known."""

import inspect
import math

import pytest
import torch
from scipy import linalg
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, Ridge
from torch import Tensor
from torch.nn.functional import normalize, one_hot
from torch.testing import assert_close

from latentry.latent.boundaries import (
    boundary_directions,
    conditional_projection,
    fisher_directions,
    fit_linear_classifier,
)
from latentry.latent.quasi_eigenbasis import spectral_labels

D, K = 6, 3


@pytest.fixture
def codes(rng: torch.Generator) -> Tensor:
    return torch.randn(4000, D, dtype=torch.float64, generator=rng)


def normals() -> Tensor:
    """Two attributes that overlap."""
    return normalize(torch.tensor([[1.0, 0, 0, 0, 0, 0], [1.0, 1.0, 0, 0, 0, 0]], dtype=torch.float64))


def attributes(z: Tensor) -> Tensor:
    return (z @ normals().mT).sign().long()


def clusters(rng: torch.Generator, n: int = 900) -> tuple[Tensor, Tensor]:
    """Labels that differ along thin axes, among wide ones that tell nothing."""
    y = torch.arange(n) % K
    mix = torch.linalg.qr(torch.randn(D, D, dtype=torch.float64, generator=rng))[0]
    noise = torch.randn(n, D, dtype=torch.float64, generator=rng) * torch.tensor([0.3, 0.3, 0.3, 4, 4, 4]).double()
    return (one_hot(y, D) + noise) @ mix, y


def test_what_is_projected_leaves_the_others_scores_alone(rng: torch.Generator) -> None:
    v, others = (torch.randn(n, D, dtype=torch.float64, generator=rng) for n in (2, 3))
    left = conditional_projection(v, others)
    assert (left @ others.mT).abs().max() < 1e-12
    assert_close(conditional_projection(left, others), left)
    orthogonal = conditional_projection(v[:1], v[1:])  # of one other: n1 - <n1, n2> n2 (Shen et al., 2020)
    unit = normalize(v[1:])
    assert_close(orthogonal, v[:1] - (v[:1] @ unit.mT) * unit)


@pytest.mark.parametrize("model", ["logistic", "ridge"])
def test_the_normal_of_a_linear_attribute_is_found(model: str, codes: Tensor) -> None:
    basis = boundary_directions(codes, attributes(codes), model=model)
    assert torch.cosine_similarity(basis.vectors[:2], normals()).min() > 0.99
    assert basis.vectors.shape == (D, D)
    assert_close(basis.reconstruct(basis.coefficients(codes)), codes)
    assert_close(basis.vectors.norm(dim=1), (codes - basis.offset).norm(dim=1).median().expand(D))


def test_a_conditional_direction_moves_its_own_score_alone(codes: Tensor) -> None:
    a = attributes(codes)
    plain, conditional = (boundary_directions(codes, a, conditional=flag) for flag in (False, True))
    scores = conditional.vectors[:2] @ normalize(plain.vectors[:2]).mT
    assert (scores.diagonal() > 1).all()
    assert scores.fill_diagonal_(0).abs().max() < 1e-9
    expected = conditional_projection(plain.vectors[:1], plain.vectors[1:2])
    assert torch.cosine_similarity(conditional.vectors[:1], expected).item() == pytest.approx(1.0)
    assert torch.cosine_similarity(conditional.dual[:2], plain.vectors[:2]).min() > 1 - 1e-9  # coefficients are scores


def test_least_squares_is_scikit_learns(codes: Tensor) -> None:
    a = attributes(codes)
    oracle = Ridge(alpha=300.0).fit(codes.numpy(), a.double().numpy())
    basis = boundary_directions(codes, a, model="ridge", strength=300.0)
    assert_close(normalize(basis.vectors[:2]), normalize(torch.from_numpy(oracle.coef_)))


def test_codes_of_an_unknown_side_have_no_say(codes: Tensor) -> None:
    a = attributes(codes)
    known = a.clone()
    known[2000:, 0] = 0
    assert_close(
        boundary_directions(codes, known, model="ridge").vectors[0] / boundary_directions(codes, known).vectors[0].norm(),
        normalize(boundary_directions(codes[:2000], a[:2000], model="ridge").vectors[:1])[0],
    )
    assert boundary_directions(codes, known).counts == tuple((known == 1).sum(0).tolist())


@pytest.mark.parametrize("conditional", [True, False])
def test_normals_of_labels_span_one_dimension_less_and_the_basis_is_complete(
    conditional: bool, rng: torch.Generator
) -> None:
    z, y = clusters(rng)
    basis = boundary_directions(z, y, model="ridge", conditional=conditional)
    assert basis.vectors.shape == (D + 1, D)
    assert torch.linalg.matrix_rank(basis.vectors[:K]) == K - 1
    assert_close(basis.reconstruct(basis.coefficients(z)), z)
    assert (spectral_labels(basis, z, labels_only=True) == y).double().mean() > 0.85
    rest = basis.vectors[K:] @ basis.vectors.mT
    assert rest[:, :K].abs().max() < 1e-8


def test_fishers_labelled_scores_span_the_discriminants_of_scikit_learn(rng: torch.Generator) -> None:
    z, y = clusters(rng)
    basis = fisher_directions(z, y)
    oracle = LinearDiscriminantAnalysis(solver="eigen").fit(z.numpy(), y.numpy()).scalings_[:, : K - 1]
    angles = linalg.subspace_angles(basis.dual[:K].mT.numpy(), oracle)
    assert angles.max() < 1e-6
    assert (spectral_labels(basis, z, labels_only=True) == y).double().mean() > 0.85


def test_fishers_rows_are_orthogonal_in_the_metric_of_the_scatter_within_labels(rng: torch.Generator) -> None:
    z, y = clusters(rng)
    basis = fisher_directions(z, y)
    residuals = z - torch.stack([z[y == label].mean(0) for label in range(K)])[y]
    metric = basis.vectors @ torch.linalg.inv(residuals.mT @ residuals / len(z)) @ basis.vectors.mT
    assert metric.fill_diagonal_(0).abs().max() < 1e-6 * metric.abs().max() + 1e-6
    assert not basis.orthogonal
    assert_close(basis.reconstruct(basis.coefficients(z)), z)


def test_wide_axes_that_tell_nothing_mislead_means_but_not_fisher(rng: torch.Generator) -> None:
    from latentry.latent.spectral import basis_from_codes

    z, y = clusters(rng, 60)
    fresh, labels = clusters(torch.Generator().manual_seed(7), 3000)  # the same mixing, as the fixture's seed is 7
    accuracy = [
        (spectral_labels(basis, fresh, labels_only=True) == labels).double().mean().item()
        for basis in (basis_from_codes(z, y), fisher_directions(z, y))
    ]
    assert accuracy[1] > accuracy[0] + 0.1


def test_shrinkage_helps_where_codes_are_fewer_than_dimensions(rng: torch.Generator) -> None:
    z, y = clusters(rng, 2 * K)
    with pytest.raises(ValueError, match="shrinkage > 0"):
        fisher_directions(z, y)
    assert fisher_directions(z, y, shrinkage=0.5).vectors.isfinite().all()


def test_misuse_is_named(codes: Tensor) -> None:
    y = torch.arange(len(codes)) % K
    for wrong, message in (
        ({"model": "svm"}, "'svm'"),
        ({"strength": 0.0}, "strength > 0"),
    ):
        with pytest.raises(ValueError, match=message):
            inspect.unwrap(boundary_directions)(codes, y, **wrong)
    with pytest.raises(ValueError, match="both sides of attribute 0, got 4000 with it and 0 without"):
        boundary_directions(codes, torch.ones(len(codes), 1, dtype=torch.int64))
    with pytest.raises(ValueError, match="attributes -1, 0 or 1"):
        boundary_directions(codes, torch.full((len(codes), 1), 2))
    with pytest.raises(ValueError, match="label 1"):
        boundary_directions(codes, 2 * (y % 2))
    with pytest.raises(ValueError, match="codes of length 2 for 3 labels"):
        fisher_directions(codes[:, :2], y)
    with pytest.raises(ValueError, match=r"shrinkage in \[0, 1\]"):
        fisher_directions(codes, y, shrinkage=2.0)


@pytest.mark.parametrize("k", [2, 3])
def test_the_scores_are_the_logits_of_the_distribution_that_the_labels_were_drawn_from(
    k: int, codes: Tensor, rng: torch.Generator
) -> None:
    weights, bias = 2 * torch.eye(k, D).double(), torch.linspace(-0.5, 0.5, k).double()
    logits = codes @ weights.mT + bias
    y = torch.multinomial(logits.softmax(1), 1, generator=rng).squeeze(1)
    found = fit_linear_classifier(codes, y)
    scores = codes @ found.weights.mT + found.bias
    assert found.weights.shape == (k, D)
    assert (scores.log_softmax(1) - logits.log_softmax(1)).abs().mean() < 0.15
    margin = found.margin(codes, y)
    assert ((margin > 0) == (scores.argmax(1) == y)).all()
    if k == 2:
        assert_close(margin, (2.0 * y - 1) * (scores[:, 1] - scores[:, 0]))


def test_scores_need_codes_of_every_label(codes: Tensor) -> None:
    with pytest.raises(ValueError, match="none of 4000 for label 0"):
        fit_linear_classifier(codes, torch.ones(4000, dtype=torch.int64))
    with pytest.raises(ValueError, match="two labels or more"):
        fit_linear_classifier(codes, torch.zeros(4000, dtype=torch.int64))
    for strength in (0.0, math.inf):
        with pytest.raises(ValueError, match="finite strength > 0"):
            fit_linear_classifier(codes, torch.arange(4000) % 2, strength=strength)
        for model in ("logistic", "ridge"):
            with pytest.raises(ValueError, match="finite strength > 0"):
                boundary_directions(codes, torch.arange(4000) % 2, model=model, strength=strength)  # type: ignore[arg-type]


@pytest.mark.parametrize("k", [2, 3, 7])
@pytest.mark.parametrize(
    ("offset", "scales", "strength"),
    [
        (0.0, torch.ones(D), 1.0),
        (1e5, torch.ones(D), 1.0),
        (0.0, torch.logspace(-3, 3, D), 1.0),
        (300.0, torch.logspace(3, -3, D), 1e-2),
        (-40.0, torch.full((D,), 1e-4), 1e-9),
        (7.0, torch.ones(D), 1e-6),
    ],
    ids=["plain", "off-centre", "scales", "both", "small", "nearly separable"],
)
def test_a_linear_classifier_is_at_its_optimum(
    k: int, offset: float, scales: Tensor, strength: float, rng: torch.Generator
) -> None:
    """The loss is strictly convex in the weights, so that a gradient of zero is the optimum; scikit-learn's is the same."""
    y = torch.arange(400) % k
    means = 1.5 * torch.randn(k, D, dtype=torch.float64, generator=rng)
    z = (means[y] + torch.randn(400, D, dtype=torch.float64, generator=rng)) * scales.double() + offset
    found = fit_linear_classifier(z, y, strength=strength)
    centred = z - z.mean(0)
    weights = found.weights.clone().requires_grad_(True)
    bias = (found.bias + found.weights @ z.mean(0)).requires_grad_(True)
    loss = torch.nn.functional.cross_entropy(centred @ weights.mT + bias, y, reduction="sum")
    penalty = (2 if k == 2 else 1) * strength / 2  # of two labels, the weights of their difference are penalised
    gradients = torch.autograd.grad(loss + penalty * weights.square().sum(), (weights, bias))
    assert (gradients[0] / centred.norm(dim=0)).abs().max() < 1e-7
    assert gradients[1].abs().max() < 1e-6
    if strength < 1 or (scales != 1).any():
        return  # here the default of scikit-learn has not found it after thousands of steps
    oracle = LogisticRegression(C=1 / strength, tol=1e-12, max_iter=5000)
    theirs = oracle.fit(centred.numpy(), y.numpy()).decision_function(centred.numpy())
    ours = (z @ found.weights.mT + found.bias).numpy()
    ours = ours[:, 1] - ours[:, 0] if k == 2 else ours - ours.mean(1, keepdims=True)
    assert abs(ours - (theirs if k == 2 else theirs - theirs.mean(1, keepdims=True))).max() < 1e-4


def test_many_dimensions_take_the_other_way_to_the_same_optimum(
    rng: torch.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    z, y = clusters(rng, 300)
    z = 5 + 10 * z
    expected = fit_linear_classifier(z, y)
    monkeypatch.setattr("latentry.latent.logistic._LARGEST_HESSIAN", 0)
    found = fit_linear_classifier(z, y)
    assert_close(found.weights, expected.weights, rtol=0, atol=1e-6)
    assert_close(found.bias, expected.bias, rtol=0, atol=1e-4)


def test_attributes_are_signed_or_bools_and_one_class_alone_tells_nothing(rng: torch.Generator) -> None:
    z = torch.randn(200, 4, generator=rng)
    a = torch.stack([2 * (z[:, 0] > 0).long() - 1, 2 * (z[:, 1] + z[:, 2] > 0).long() - 1], 1)
    signed = boundary_directions(z, a)
    assert torch.equal(boundary_directions(z, a > 0).vectors, signed.vectors)
    assert torch.equal(boundary_directions(z.numpy(), (a > 0).numpy()).vectors, signed.vectors)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"got 0 and 1 alone.*a\.bool\(\)"):
        boundary_directions(z, (a > 0).long())
    for alone in (torch.zeros(200, dtype=torch.int64), torch.zeros(200, dtype=torch.bool)):
        with pytest.raises(ValueError, match="expected 2 labels or more, got 1"):
            boundary_directions(z, alone)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="expected codes of two labels or more, got one"):
            fit_linear_classifier(z, alone)  # type: ignore[arg-type]
