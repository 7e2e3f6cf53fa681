"""Every public function, driven with inputs of every form: run by `test_inputs`, without the hook that checks annotations.

`CALLS` holds a valid call of each public function. One argument of it is then changed. A change of form alone (a list, a
numpy array, a graph, other strides, another floating type, labels as floats) has to give the result of the clean call. Any
other has to give a result without NaN, or a ValueError that says what was expected and what came: never another error, a
number out of NaN, a changed input, or a graph on a result.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from public_names import public_names
from sklearn.naive_bayes import GaussianNB
from torch import Tensor
from torch.testing import assert_close

import latentry as lt
from latentry.latent.settings import EncoderSettings, InverseSettings

N, D, K = 8, 4, 3


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed))


MATRIX = drawn(6, D, seed=1)
WEIGHTS = drawn(K, D, seed=2)
Z, Z_B = drawn(N, D, seed=3), drawn(N, D, seed=4)
Y = torch.arange(N) % 2
FRAME = torch.linalg.qr(drawn(D, D, seed=5)).Q
CODES = drawn(60, D, seed=6) + 2 * WEIGHTS[torch.arange(60) % K]
LABELS = torch.arange(60) % K
NORMAL, RADIAL = lt.priors.Normal(D), lt.priors.SphericalCauchy(D)
MIXTURE = lt.priors.NormalMixture(3 * WEIGHTS, torch.ones(K, D))
PLACEMENT = lt.priors.SemanticPlacement(("round", "tall"), D)
CORRELATED = lt.priors.MultivariateNormal(torch.zeros(D), torch.eye(D) + torch.ones(D, D).tril(-1) / 2)
COPULA = lt.priors.Copula.fitted(drawn(100, D, seed=7).exp())
FLOW = lt.priors.Flow(CORRELATED, transforms=1, hidden=(8,))
TABLE = lt.priors.Tabulated(D, torch.tensor([0.25, 0.5, 0.25]))


def generator(z: Tensor) -> Tensor:
    return z @ MATRIX.to(z).mT


def classifier(x: Tensor) -> Tensor:
    return x @ torch.linalg.pinv(MATRIX).to(x).mT @ WEIGHTS.to(x).mT


class Conditional(torch.nn.Module):
    """x = A z + c_j for element j of a condition."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = torch.nn.Parameter(MATRIX.clone())

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        return z @ self.matrix.mT + c.flatten(1).sum(1, keepdim=True).to(z)


BASIS = lt.directions.basis_from_codes(CODES, LABELS)
SPLIT = lt.LabelSplit(torch.nn.Linear(D, 6), MIXTURE, torch.nn.Linear(6, 2), torch.nn.Linear(6, 4), 2)
SEMANTIC = lt.SemanticModel(torch.nn.Linear(D, 6), PLACEMENT, torch.nn.Linear(6, 2 * D))
INVERSE = lt.fit_inverse(generator, NORMAL, InverseSettings(steps=1, batch_size=2, width=2), rng=seeded())
CLASSIFIER = lt.directions.fit_linear_classifier(CODES, LABELS)
ATTRIBUTES = torch.stack([2 * (CODES[:, 0] > 0) - 1, 2 * (CODES[:, 1] > 0) - 1], 1)


@dataclass(frozen=True)
class Call:
    """A valid call: what is called with which arguments."""

    function: Callable[..., Any]
    arguments: dict[str, Any]
    differentiable: bool = False
    """Whether results may carry a graph."""
    nan_out: bool = False
    """Whether a result may hold NaN, as documented."""
    examples: int = 120
    """Changes that are tried; fewer where a call takes long."""


def call(
    function: Callable[..., Any],
    differentiable: bool = False,
    nan_out: bool = False,
    examples: int = 120,
    /,
    **arguments: Any,
) -> Call:
    return Call(function, arguments, differentiable, nan_out, examples)


def of_prior(prior: Any) -> Call:
    def all_of(z: Tensor) -> list[Tensor]:
        found = [prior.log_prob(z)]
        if hasattr(prior(), "cdf") and not isinstance(prior, lt.priors.RadialPrior | lt.priors.Pushforward):
            found += [prior.cdf(z), prior.log_cdf(z), prior.log_sf(z)]
        return found

    return call(all_of, True, True, z=Z / 4)


def of_distribution(distribution: Any) -> Call:
    return call(distribution.log_prob, True, True, value=Z / 4)


IMAGES = drawn(N, 1, 4, 4, seed=8)
CALLS: dict[str, Call] = {
    "AbsoluteValue": call(lt.regularizers.AbsoluteValue(), True, True, z=Z, prior=NORMAL),
    "Blur": call(lt.measurements.Blur(1.0), True, True, x=IMAGES),
    "BoundaryResampling": call(lt.solvers.BoundaryResampling(1.0), False, True, z=Z, prior=NORMAL, rng=seeded),
    "ComponentDistance": call(lt.regularizers.ComponentDistance(), True, True, z=Z, prior=MIXTURE),
    "Difference": call(
        lambda x, mask: lt.metrics.Difference().prepare(x, mask).x,
        x=IMAGES,
        mask=((IMAGES > 0) | (IMAGES[0, 0, 0, 0] == IMAGES)).float(),
    ),
    "DiscriminatorLoss": call(lt.regularizers.DiscriminatorLoss(generator, classifier), True, True, z=Z, prior=NORMAL),
    "Downsample": call(lt.measurements.Downsample(2), True, True, x=IMAGES),
    "Inverse": call(INVERSE, x=drawn(N, 6, seed=9)),
    "GenerativeModel (condition)": call(lt.GenerativeModel(Conditional(), NORMAL).decode, z=Z, condition=Z_B),
    "L2": call(lt.regularizers.L2(), True, True, z=Z, prior=NORMAL),
    "LabelSplit": call(lambda x: SPLIT.decode(SPLIT.encode(x).mean), x=drawn(N, 6, seed=9)),
    "LabelSplit (codes)": call(
        lambda z, y: SPLIT.decode(SPLIT.relabelled(SPLIT.swapped(z, z), y)) + SPLIT.label_log_probs(z)[:, :1], z=Z, y=Y
    ),
    "LogisticResampling": call(lt.solvers.LogisticResampling(2.0), False, True, z=Z, prior=NORMAL, rng=seeded),
    "NegativeLogPrior": call(lt.regularizers.NegativeLogPrior(), True, True, z=Z, prior=NORMAL),
    "NormShell": call(lt.regularizers.NormShell(), True, True, z=Z, prior=NORMAL),
    "QuasiEigenbasis": call(lambda z: BASIS.reconstruct(BASIS.coefficients(BASIS.denoise(z, keep=2))), True, z=Z),
    "RandomProjection": call(lt.measurements.RandomProjection(3, (6,)), True, True, x=drawn(N, 6)),
    "SemanticModel": call(lambda x: SEMANTIC.decode(SEMANTIC.encode(x).mean), x=drawn(N, 6, seed=9)),
    "SemanticModel (codes)": call(SEMANTIC.decode, z=Z),
    "StatisticalDistance": call(lt.regularizers.StatisticalDistance(), True, True, z=Z, prior=NORMAL),
    "TruncatedNormalResampling": call(lt.solvers.TruncatedNormalResampling(2.0), False, True, z=Z, prior=NORMAL, rng=seeded),
    "WeightedSum": call(lt.regularizers.WeightedSum(((lt.regularizers.L2(), 0.5),)), True, True, z=Z, prior=NORMAL),
    "active_dimensions": call(lt.metrics.active_dimensions, z=Z, logvar=Z_B),
    "activation_directions": call(
        lt.directions.activation_directions, layer=generator, prior=NORMAL, samples=50, rng=seeded
    ),
    "basis_from_codes": call(lt.directions.basis_from_codes, z=CODES, y=LABELS, prior=NORMAL),
    "boundary_directions": call(lt.directions.boundary_directions, z=CODES, y=LABELS, prior=NORMAL),
    "boundary_directions (attributes)": call(lt.directions.boundary_directions, z=CODES, y=ATTRIBUTES),
    "conditional_direction": call(lt.operators.conditional_direction, True, direction=FRAME[0], conditions=WEIGHTS[:2]),
    "conditional_projection": call(lt.directions.conditional_projection, v=Z, others=WEIGHTS[:2]),
    "energy_share": call(lt.directions.energy_share, basis=BASIS, z=Z),
    "evaluate_basis": call(
        lt.metrics.evaluate_basis,
        False,
        False,
        20,
        vectors=2 * FRAME,
        z=CODES,
        coefficients=CODES @ FRAME.mT,
        y=LABELS,
        classify=lambda z: z @ WEIGHTS.to(z).mT,
        num_labels=K,
        null_draws=2,
        folds=3,
        probes={"bayes": GaussianNB()},
        rng=seeded,
    ),
    "evaluate_paths": call(
        partial(lt.evaluate_paths, reference=drawn(N, 6), metric=lambda x, reference: (x.mean() - reference.mean()).item()),
        generator=generator,
        prior=NORMAL,
        count=5,
        t=(0.5,),
        rules=("lerp",),
        rng=seeded,
    ),
    "evaluate_samples": call(
        lt.evaluate_samples,
        generated=drawn(20, 6, seed=1),
        reference=drawn(20, 6, seed=2),
        extractor=lambda x: x.float(),
        blocks=2,
        halves=2,
        rng=seeded,
    ),
    "first_weight_directions": call(lt.directions.first_weight_directions, weights=MATRIX, prior=NORMAL),
    "fisher_directions": call(lt.directions.fisher_directions, z=CODES, y=LABELS, prior=NORMAL),
    "fit_encoder": call(
        lt.fit_encoder,
        False,
        False,
        8,
        generator=generator,
        prior=NORMAL,
        x=drawn(N, 6),
        settings=EncoderSettings(steps=2, batch_size=4, width=2),
        rng=seeded,
    ),
    "fit_inverse": call(
        lt.fit_inverse,
        False,
        False,
        4,
        generator=generator,
        prior=NORMAL,
        settings=InverseSettings(steps=2, batch_size=4, width=2),
        rng=seeded,
    ),
    "fit_prior": call(lt.fit_prior, False, False, 12, codes=CODES, family="normal", rng=seeded),
    "fit_linear_classifier": call(lt.directions.fit_linear_classifier, z=CODES, y=LABELS),
    "fit_linear_classifier (margin)": call(CLASSIFIER.margin, z=Z, y=Y),
    "goodness_of_fit": call(lt.goodness_of_fit, z=Z, prior=NORMAL, rng=seeded),
    "hide_box": call(lt.measurements.hide_box, shape=(1, 4, 4), rows=(1, 2), columns=(0, 3)),
    "interpolate": call(lt.interpolate, True, z_a=Z, z_b=Z_B, t=torch.tensor([0.25, 0.5]), prior=NORMAL),
    "Hide": call(lt.measurements.Hide(torch.eye(4)), True, x=drawn(N, 4, 4)),
    "is_from": call(
        lt.metrics.is_from,
        False,
        False,
        12,
        generator=generator,
        x=Z @ MATRIX.mT,
        prior=NORMAL,
        calibration=19,
        restarts=1,
        rng=seeded,
    ),
    "keep_box": call(lt.measurements.keep_box, shape=(1, 4, 4), rows=(1, 2), columns=(0, 3)),
    "keep_share": call(lt.measurements.keep_share, shape=(1, 4, 4), share=0.5, rng=seeded),
    "label_ranks": call(lt.directions.label_ranks, basis=BASIS, z=Z, y=Y),
    "match_labels": call(lt.directions.match_labels, basis=BASIS, z=CODES, y=LABELS),
    "mismatch": call(lt.priors.mismatch, False, False, 20, prior=NORMAL, t=torch.tensor([0.25, 0.5])),
    "principal_directions": call(lt.directions.principal_directions, codes=CODES),
    "project_onto": call(lt.operators.project_onto, True, z=Z, rows=WEIGHTS),
    "project_out": call(lt.operators.project_out, True, z=Z, rows=WEIGHTS),
    "quantile_projection": call(lt.solvers.quantile_projection, z=Z, prior=NORMAL),
    "quasi_eigenvectors": call(
        lt.quasi_eigenvectors,
        False,
        False,
        12,
        generator=generator,
        classifier=classifier,
        prior=NORMAL,
        encoder=lambda x: x @ torch.linalg.pinv(MATRIX).to(x).mT,
        x=CODES @ MATRIX.mT,
        per_label=30,
        fewest=2,
        draws=200,
        rng=seeded,
    ),
    "quasi_eigenvectors_toledo2023": call(
        lt.directions.quasi_eigenvectors_toledo2023,
        False,
        False,
        6,
        generator=generator,
        classifier=classifier,
        prior=NORMAL,
        per_label=30,
        blocks=1,
        fewest=2,
        draws=200,
        rng=seeded,
    ),
    "random_directions": call(lt.directions.random_directions, prior=NORMAL, rng=seeded),
    "recover_codes": call(
        lt.recover_codes,
        False,
        True,
        20,
        generator=generator,
        x=Z @ MATRIX.mT,
        prior=NORMAL,
        restarts=1,
        start=Z_B,
        rng=seeded,
    ),
    "reflect": call(lt.operators.reflect, True, z=Z, normal=WEIGHTS[0]),
    "roc_auc": call(lt.metrics.roc_auc, positive=Z[:, 0], negative=Z[:, 1] - 1),
    "phase": call(lt.operators.phase, True, z=Z, plane=FRAME[:2]),
    "rotate": call(lt.operators.rotate, True, z=Z, plane=FRAME[:2], angle=drawn(N), centre=WEIGHTS[0]),
    "rotate_along": call(lt.operators.rotate_along, True, z=Z, path=FRAME[:3], t=1.5),
    "rotate_to_component": call(lt.operators.rotate_to_component, True, z=Z, target=WEIGHTS[0], component=1.0),
    "rotate_to_margin": call(lt.operators.rotate_to_margin, True, z=Z, weights=WEIGHTS, bias=drawn(K), y=Y, margin=0.2),
    "rotate_to_phase": call(lt.operators.rotate_to_phase, True, z=Z, plane=FRAME[:2], angle=0.3),
    "rotate_towards": call(lt.operators.rotate_towards, True, z=Z, target=WEIGHTS[0], angle=0.3),
    "rotate_within": call(lt.operators.rotate_within, True, z=Z, rows=WEIGHTS, target=WEIGHTS[0], share=0.5),
    "rotation_matrix": call(lt.operators.rotation_matrix, True, plane=FRAME[:2], angle=0.3),
    "skew_rotation": call(lt.operators.skew_rotation, True, z=Z, skew=FRAME - FRAME.mT, t=0.5),
    "spectral_labels": call(lt.directions.spectral_labels, basis=BASIS, z=Z),
    "transition": call(lt.operators.transition, True, z=Z, a=WEIGHTS[0], b=WEIGHTS[1]),
    "translate": call(lt.operators.translate, True, z=Z, direction=WEIGHTS[0], step=0.5),
    "translate_to_margin": call(
        lt.operators.translate_to_margin, True, z=Z, weights=WEIGHTS, bias=drawn(K), y=Y, margin=0.2
    ),
    # settings
    "Adam": call(lt.solvers.Adam, steps=20, learning_rate=0.1),
    "Annealed": call(lt.regularizers.Annealed, start=1.0, end=0.1, over=0.5),
    "Blur (settings)": call(lt.measurements.Blur, sigma=1.0),
    "BoundaryResampling (settings)": call(lt.solvers.BoundaryResampling, bound=1.0, steps=10),
    "ComponentDistance (settings)": call(lt.regularizers.ComponentDistance, label=1),
    "Difference (settings)": call(lt.metrics.Difference, pixel_weight=1.0, feature_weight=0.5),
    "Downsample (settings)": call(lt.measurements.Downsample, factor=2),
    "LBFGS": call(lt.solvers.LBFGS, steps=20),
    "LevenbergMarquardt": call(lt.solvers.LevenbergMarquardt, steps=20),
    "LogisticResampling (settings)": call(lt.solvers.LogisticResampling, slope=2.0, centre=2.0, steps=10),
    "RandomProjection (settings)": call(lt.measurements.RandomProjection, k=3, shape=(6,), seed=0),
    "TruncatedNormalResampling (settings)": call(lt.solvers.TruncatedNormalResampling, cutoff=2.0, steps=10),
    # priors
    "priors.DiagonalNormal": of_distribution(lt.priors.DiagonalNormal(torch.zeros(D), torch.ones(D))),
    "priors.GammaRadius": of_prior(lt.priors.GammaRadius(D)),
    "priors.HalfUniformHalfNormal": of_prior(lt.priors.HalfUniformHalfNormal(D)),
    "priors.IIDDistribution": of_distribution(NORMAL()),
    "priors.LogUniformRadius": of_prior(lt.priors.LogUniformRadius(D)),
    "priors.Normal": of_prior(NORMAL),
    "priors.NormalMixture": call(MIXTURE.label_log_probs, True, True, z=Z),
    "priors.NormalMixtureDistribution": of_distribution(MIXTURE()),
    "priors.RadialDistribution": of_distribution(RADIAL()),
    "priors.RadialPrior": call(RADIAL.to_normal, True, True, z=Z),
    "priors.SemanticPlacement": call(PLACEMENT.levels, True, True, z=Z),
    "priors.SphericalCauchy": of_prior(RADIAL),
    "priors.Tabulated": of_prior(TABLE),
    "priors.TruncatedCauchy": of_prior(lt.priors.TruncatedCauchy(D)),
    "priors.Uniform": of_prior(lt.priors.Uniform(D)),
    "priors.Copula": of_prior(COPULA),
    "priors.Flow": call(FLOW.to_normal, True, True, 40, z=Z),
    "priors.MultivariateNormal": of_prior(CORRELATED),
    "priors.MultivariateNormalMixture": of_prior(lt.priors.MultivariateNormalMixture(WEIGHTS, torch.ones(K, D))),
    "priors.PushforwardDistribution": of_distribution(CORRELATED()),
    "priors.as_prior": call(lambda z, prior: lt.priors.as_prior(prior).iid_coordinates(z)[0], True, True, z=Z, prior=RADIAL),
    "priors.combine": call(lt.priors.combine, True, codes=torch.stack([Z, Z_B]), weights=[0.5, 0.5], prior=NORMAL),
    "priors.density_curves": call(lt.priors.density_curves, False, False, 6, prior=NORMAL),
    "priors.design_interpolable": call(
        lt.priors.design_interpolable, False, False, 6, latent_dim=D, bins=16, max_iterations=5
    ),
    "priors.design_radial": call(lt.priors.design_radial, False, False, 4, latent_dim=D, bins=8),
    "priors.design_radius": call(
        lt.priors.design_radius, False, False, 4, latent_dim=D, bins=8, distribution_bins=16, max_iterations=5
    ),
    "priors.norm_curves": call(lt.priors.norm_curves, False, False, 4, prior=NORMAL),
    "priors.summarize": call(lt.priors.summarize, False, True, 6, prior=NORMAL),
}

RESULTS = {
    "ActiveDimensions", "Classifier", "Conformance", "DataReport", "FittedPrior", "GoodnessOfFit",
    "InverseReport", "LatentModel", "Promise", "Provenance", "RecoveredCodes", "Recovery",
    "priors.DensityCurves", "priors.Design", "priors.Mismatch", "priors.NormCurves", "priors.RadiusDesign",
    "priors.Summary",
}  # fmt: skip
"""What functions return; nobody but they makes one."""
FILES = {
    "load_basis", "load_codes", "load_dataset", "load_generator", "load_inverse", "load_model",
    "priors.load_prior", "priors.save_prior", "save_basis", "save_inverse", "save_model",
}  # fmt: skip
"""Readers and writers, whose inputs are files: `test_fuzz` is theirs."""
SETTINGS = {
    "fit_classifier", "fit_conditional", "fit_gan", "fit_label_split", "fit_semantic",
    "priors.Designed", "priors.Moment", "priors.TrainedMixture",
    "priors.IIDPrior", "priors.Pushforward", "priors.redesign_singh2019",
}  # fmt: skip
"""Numbers alone, what other names of the table stand for, and trainings, which are those of `test_fitting`."""
NO_CALLABLES = {
    "Measurement",
    "as_generator",
    "as_measurement",
    "as_real",
    "check_generator",
    "check_measurement",
    "check_prior",
    "check_solver",
    "priors.Combination",
    "priors.Constraint",
    "priors.Rule",
    "priors.SavedPrior",
    "priors.UnlabelledPrior",
}
"""Types of arguments, and what takes the objects of others."""

Change = Callable[[Any], Any]


def with_value(x: Tensor, value: float) -> Tensor:
    changed = x.clone(memory_format=torch.contiguous_format)
    changed.view(-1)[0] = value
    return changed


def strided(x: Tensor) -> Tensor:
    wider = torch.zeros(*x.shape, 2, dtype=x.dtype)
    wider[..., 1] = x
    return wider[..., 1]


def read_only(x: Tensor) -> Any:
    array = x.numpy().copy()
    array.flags.writeable = False
    return array


FORMS: dict[str, Change] = {
    "array": lambda x: x.numpy(),
    "reversed array": lambda x: np.ascontiguousarray(x.numpy()[::-1])[::-1],
    "read-only array": read_only,
    "list": lambda x: x.tolist(),
    "strided": strided,
    "transposed": lambda x: x.mT.contiguous().mT if x.ndim > 1 else x,
}
FLOAT_FORMS: dict[str, Change] = {
    "graph": lambda x: x.clone().requires_grad_() * 1,
    "leaf": lambda x: x.clone().requires_grad_(),
    "parameter": lambda x: torch.nn.Parameter(x.clone()),
}
LABEL_FORMS: dict[str, Change] = {
    "int32": lambda y: y.int(),
    "uint8": lambda y: y.to(torch.uint8) if y.min() >= 0 else y.to(torch.int8),
    "float": lambda y: y.float(),
    "array of floats": lambda y: y.double().numpy(),
}
TYPES: dict[str, Change] = {
    "double": lambda x: x.double(),
    "half": lambda x: x.half(),
    "bfloat16": lambda x: x.bfloat16(),
    "array of doubles": lambda x: x.double().numpy(),
}
BREAKS: dict[str, Change] = {
    "ints": lambda x: (3 * x).long(),
    "bools": lambda x: x > 0,
    "complex": lambda x: x + 1j,
    "nan": lambda x: with_value(x, math.nan),
    "infinity": lambda x: with_value(x, math.inf),
    "negative infinity": lambda x: with_value(x, -math.inf),
    "no rows": lambda x: x[:0],
    "one row": lambda x: x[:1],
    "a row less": lambda x: x[1:],
    "one row, no axis": lambda x: x[0],
    "one axis more": lambda x: x[None],
    "an element less": lambda x: x[..., 1:],
    "no elements": lambda x: x[..., :0],
    "zeros": torch.zeros_like,
    "huge": lambda x: 1e12 * x,
    "sparse": lambda x: x.to_sparse(),
    "meta": lambda x: x.to("meta"),
    "none": lambda x: None,
    "text": lambda x: "codes",
    "dict": lambda x: {"z": x},
    "ragged": lambda x: [[1.0], [1.0, 2.0]],
    "objects": lambda x: np.array([None, "a"]),
    "number": lambda x: 0.5,
}
LABEL_BREAKS: dict[str, Change] = {
    "negative": lambda y: y - 1,
    "too large": lambda y: y + 1000,
    "one label": torch.zeros_like,
    "halves": lambda y: y + 0.5,
    "nan": lambda y: with_value(y.float(), math.nan),
    "one-hot": lambda y: torch.nn.functional.one_hot(y.clamp(min=0)),
    "no labels": lambda y: y[:0],
    "a label less": lambda y: y[1:],
    "one axis more": lambda y: y[None],
    "none": lambda y: None,
    "text": lambda y: "labels",
}
NUMBER_BREAKS: dict[str, Change] = {
    "nan": lambda v: math.nan,
    "text": lambda v: "number",
    "dict": lambda v: {},
    "matrix": lambda v: torch.zeros(2, 2),
}
PRIOR_BREAKS: dict[str, Change] = {
    "of torch": lambda p: torch.distributions.Normal(torch.zeros(D), torch.ones(D)),
    "longer": lambda p: lt.priors.Normal(D + 1),
    "text": lambda p: "normal",
    "class": lambda p: lt.priors.Normal,
    "distribution": lambda p: p(),
}
RNG_BREAKS: dict[str, Change] = {"seed": lambda r: 0, "numpy": lambda r: np.random.default_rng(0)}
CALLABLE_BREAKS: dict[str, Change] = {
    "tensor": lambda f: drawn(2),
    "none": lambda f: None,
    "failing": lambda f: torch.nn.Linear(D + 7, 2),
    "list": lambda f: lambda x: [f(x), f(x)],
    "nan": lambda f: lambda x: f(x) * math.nan,
    "a row less": lambda f: lambda x: f(x)[1:],
}


def changes_of(value: Any) -> tuple[dict[str, Change], dict[str, Change]]:
    """Changes of form alone, and all others, for an argument like this."""
    if isinstance(value, Tensor) and value.is_floating_point():
        return FORMS | FLOAT_FORMS, TYPES | BREAKS
    if isinstance(value, Tensor):
        return FORMS | LABEL_FORMS, LABEL_BREAKS
    if value is seeded:
        return {}, RNG_BREAKS
    if isinstance(value, torch.nn.Module) and hasattr(value, "latent_dim"):
        return {}, PRIOR_BREAKS
    if isinstance(value, int | float):
        return {}, NUMBER_BREAKS
    return ({}, CALLABLE_BREAKS) if callable(value) and not isinstance(value, type) else ({}, {})


def fresh(value: Any) -> Any:
    return value() if value is seeded else value


def parts(result: Any) -> list[Tensor]:
    """All numbers of a result; how long it took is none."""
    if isinstance(result, Tensor):
        return [result]
    if isinstance(result, bool | int | float):
        return [torch.tensor(float(result))]
    if is_dataclass(result):
        return [part for one in fields(result) if one.name != "seconds" for part in parts(getattr(result, one.name))]
    if isinstance(result, list | tuple | dict):
        return [part for one in (result.values() if isinstance(result, dict) else result) for part in parts(one)]
    return []


def state() -> tuple[Any, ...]:
    numpy_state = np.random.get_state()[1]
    return (
        torch.get_rng_state().numpy().tobytes(), torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads(),
        np.asarray(numpy_state).tobytes(),
    )  # fmt: skip


CHANGES = {
    name: [
        (argument, change, kind)
        for argument, value in one.arguments.items()
        for kind, changes in enumerate(changes_of(value))
        for change in changes
    ]
    for name, one in CALLS.items()
}


@pytest.mark.parametrize("name", CALLS)
def test_every_form_of_an_input_is_that_input_and_all_else_is_refused(name: str) -> None:
    one = CALLS[name]
    clean = one.function(**{argument: fresh(value) for argument, value in one.arguments.items()})

    @settings(
        max_examples=one.examples,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(st.sampled_from(CHANGES[name]), min_size=1, max_size=2, unique_by=lambda change: change[0]))
    def check(changes: list[tuple[str, str, int]]) -> None:
        arguments = {argument: fresh(value) for argument, value in one.arguments.items()}
        for argument, change, kind in changes:
            arguments[argument] = changes_of(one.arguments[argument])[kind][change](arguments[argument])
        held = {argument: value for argument, value in arguments.items() if isinstance(value, Tensor) and not value.is_meta}
        before, there = state(), {argument: value.detach().clone() for argument, value in held.items()}
        try:
            result = one.function(**arguments)
        except ValueError as error:
            message = str(error)
            assert re.search("expected", message), message
            assert re.search("got|found", message), message
            assert any(kind for _, _, kind in changes), f"a change of form was refused: {message}"
            result = None
        assert state() == before
        for argument, value in held.items():
            assert_close(value.detach(), there[argument], rtol=0, atol=0, equal_nan=True)
        if result is None:
            return
        found = parts(result)
        graph = any(part.requires_grad for part in found)
        assert one.differentiable or not graph
        if not any(kind for _, _, kind in changes):
            for part, right in zip(found, parts(clean), strict=True):
                assert_close(part.detach(), right.detach(), rtol=1e-4, atol=1e-5, equal_nan=True, check_dtype=False)
        has_nan = any(part.isnan().any() for part in found if part.is_floating_point())
        if any("nan" in change for _, change, _ in changes):
            assert has_nan, "a number was made of NaN"
        elif not one.nan_out and not any("infinity" in change for _, change, _ in changes):
            assert not has_nan, "NaN was made of numbers"

    if CHANGES[name]:
        check()


def test_the_table_holds_every_public_name() -> None:
    public = {*public_names()} | {f"priors.{name}" for name in lt.priors.__all__}
    public -= {"priors.interpolate", "priors.mismatch"}  # the same functions
    called = {name.partition(" ")[0] for name in CALLS}
    assert called | RESULTS | FILES | SETTINGS | NO_CALLABLES == public
    assert not called & (RESULTS | FILES | SETTINGS | NO_CALLABLES)
