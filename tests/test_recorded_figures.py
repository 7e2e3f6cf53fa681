"""Figures of the shipped models stay what they were recorded to be: code that moves must not change a result.

`python tests/test_recorded_figures.py` records them again, for when a change of results is meant.
"""

import json
from pathlib import Path

import pytest
import torch

import latentry as lt
from latentry.data import digits
from latentry.models.classifier import predict_labels

RECORDED = Path(__file__).with_name("recorded_figures.json")


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def recovery() -> dict[str, float]:
    """Known codes of the shipped generator, and held-out digits that it cannot make."""
    shipped = lt.load_model("digits-generator")
    z = shipped.prior.sample(2, rng=rng(0))
    with torch.no_grad():
        own = shipped.generator(z)
    found = lt.recover_codes(shipped.generator, own, shipped.prior, rng=rng(1))
    solver = lt.solvers.LevenbergMarquardt(steps=6)
    real = digits().split("held-out").images(range(2))
    nearest = lt.recover_codes(shipped.generator, real, shipped.prior, solver=solver, restarts=1, rng=rng(1))
    return {
        "pixels": own.std().item(),
        "met": found.met.double().mean().item(),
        "found": ((found.z - z).square().mean(1) < 0.01).double().mean().item(),
        "pixel error of real digits": nearest.reconstruction_error.mean().item(),
        "deviation of their codes": nearest.z.std().item(),
    }


def judging() -> dict[str, float]:
    """How samples and codes of the shipped generator are evaluated."""
    shipped, evaluator = lt.load_model("digits-generator"), lt.load_model("digits-evaluator").network
    z = shipped.prior.sample(300, rng=rng(2))
    with torch.no_grad():
        x = shipped.generator(z)
    fit = lt.goodness_of_fit(z, shipped.prior)
    report = lt.evaluate_samples(x, digits().split("held-out").images(range(300)), evaluator)
    return {
        "statistic": float(fit.statistic),
        "p": float(fit.p_value),
        "frechet": float(report.frechet_distance.value),
        "precision": float(report.precision.value),
        "divergence of the mid-point": float(lt.priors.mismatch(lt.priors.Normal(100), 0.5).divergence),
    }


def directions() -> dict[str, float]:
    """The basis of labels of the shipped generator, from few codes."""
    shipped, guide = lt.load_model("digits-generator"), lt.load_model("digits-guide").network
    basis = lt.quasi_eigenvectors(shipped.generator, guide, shipped.prior, per_label=100, rng=rng(3))
    z = shipped.prior.sample(500, rng=rng(4))
    with torch.no_grad():
        labels = predict_labels(guide, shipped.generator(z))[0]
    agree = lt.directions.spectral_labels(basis, z, labels_only=True) == labels
    return {"label as largest coefficient": agree.double().mean().item(), "size": basis.vectors.abs().mean().item()}


def parts() -> dict[str, float]:
    """The shipped label split on held-out digits, by posterior means."""
    split, evaluator = lt.load_model("digits-split"), lt.load_model("digits-evaluator").network
    held_out = digits().split("held-out")
    x, y = held_out.images(range(300)), held_out.labels[:300]
    z = split.encode(x).mean
    swapped = split.decode(split.swapped(z, z.roll(1, 0)))
    return {
        "deviation": z.std().item(),
        "labels": (split.label_log_probs(z).argmax(1) == y).double().mean().item(),
        "swaps": (predict_labels(evaluator, swapped)[0] == y).double().mean().item(),
    }


def features() -> dict[str, float]:
    """The shipped letters: what they show of what was asked for."""
    model = lt.load_model("letters-semantic")
    z = model.prior.sample(100, rng=rng(5))
    x = model.decode(z)
    found = model.prior.levels(model.encode(x).mean)
    return {"pixels": x.std().item(), "levels missed": (found - model.prior.levels(z)).square().mean().sqrt().item()}


FIGURES = {"recovery": recovery, "judging": judging, "directions": directions, "parts": parts, "features": features}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_of_the_shipped_models_are_as_recorded(name: str) -> None:
    recorded = json.loads(RECORDED.read_text())[name]
    assert FIGURES[name]() == {key: pytest.approx(value, rel=2e-3, abs=1e-9) for key, value in recorded.items()}


if __name__ == "__main__":
    RECORDED.write_text(json.dumps({name: work() for name, work in FIGURES.items()}, indent=2) + "\n")
