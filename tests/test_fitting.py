"""Training from Python: a killed run ends bit for bit as one that was not, and a command trains what Python does."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import latentry as lt
from latentry.cli import main
from latentry.data import load_dataset
from latentry.data.features import featured
from latentry.interfaces import LatentModel
from latentry.latent.settings import EncoderSettings, InverseSettings
from latentry.models.settings import (
    ClassifierSettings,
    GANSettings,
    LabelSplitSettings,
    SemanticGANSettings,
    SemanticSettings,
    SemanticVAESettings,
)

N, SIDE = 24, 28
SHORT: dict[str, Any] = {"steps": 6, "batch_size": 8, "checkpoint_every": 2}
X = torch.rand(N, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) * 2 - 1
Y = torch.arange(N) % 2
A = torch.stack([torch.arange(N) % 3 - 1.0, (torch.arange(N) // 3) % 2 * 1.0], 1)
PLACED = lt.priors.SemanticPlacement(["bold", "italic"], 4).observed(A)
PRIOR = lt.priors.Normal(3)
SETTINGS: dict[str, Any] = {
    "gan": GANSettings(**SHORT, width=2, discriminator_width=2, latent_dim=3, r1=1.0),
    "classifier": ClassifierSettings(**SHORT, width=2),
    "label split": LabelSplitSettings(**SHORT, width=1, label_dim=2, style_dim=3, gan=True, flow_steps=4),
    "semantic": SemanticSettings(width=1, vae=SemanticVAESettings(**SHORT), gan=SemanticGANSettings(**SHORT)),
    "inverse": InverseSettings(**SHORT, width=1),
    "encoder": EncoderSettings(**SHORT, width=1),
}


def generator(z: Tensor) -> Tensor:
    return (z @ torch.ones(3, 5)).tanh()


def fitted(kind: str, **more: Any) -> Any:
    """The model of a short training."""
    settings = SETTINGS[kind]
    if kind == "gan":
        return lt.fit_gan(X, None, settings, **more).model
    if kind == "classifier":
        return lt.fit_classifier(X, settings, y=Y, validation=(X[:9], Y[:9]), **more).model
    if kind == "label split":
        return lt.fit_label_split(X, settings, y=Y, **more).model
    if kind == "semantic":
        return lt.fit_semantic(X, PLACED, settings, a=A, **more).model
    if kind == "inverse":
        return lt.fit_inverse(generator, PRIOR, settings, **more)
    return lt.fit_encoder(
        generator, generator(PRIOR.sample(N, rng=torch.Generator().manual_seed(1))), PRIOR, settings, **more
    )


def weights(model: Any) -> dict[str, Tensor]:
    return {
        f"{part}/{name}": value
        for part, network in vars(model).items()
        if isinstance(network, nn.Module)
        for name, value in network.state_dict().items()
    }


def same(first: Any, second: Any) -> bool:
    a, b = weights(first), weights(second)
    return len(a) > 0 and a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class KilledError(Exception):
    """As if the process had been killed."""


def killed_after(stop: int) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        if done == stop:
            raise KilledError

    return progress


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_killed_run_ends_as_one_that_was_not(kind: str, tmp_path: Path) -> None:
    state = torch.get_rng_state()
    whole = fitted(kind, rng=3)
    with pytest.raises(KilledError):
        fitted(kind, rng=3, progress=killed_after(5), checkpoint=tmp_path)
    assert any(tmp_path.rglob("step-*"))
    assert same(fitted(kind, rng=3, checkpoint=tmp_path), whole)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_seed_decides_everything_and_a_generator_draws_it(kind: str) -> None:
    drawn = int(torch.randint(2**31, (), generator=torch.Generator().manual_seed(5)))
    assert same(fitted(kind, rng=torch.Generator().manual_seed(5)), fitted(kind, rng=drawn))
    assert not same(fitted(kind, rng=1), fitted(kind, rng=2))


@pytest.mark.parametrize("kind", SETTINGS)
def test_the_callback_sees_the_model_at_every_checkpoint_and_changes_nothing(kind: str) -> None:
    seen: list[int] = []

    def look(step: int, model: Any) -> None:
        torch.rand(step)
        seen.append(step)
        assert weights(model)

    assert same(fitted(kind, rng=3, callback=look), fitted(kind, rng=3))
    assert seen == ([2, 4, 6, 8, 10, 12] if kind == "semantic" else [2, 4, 6])


@pytest.mark.parametrize("kind", ["gan", "label split", "semantic"])
def test_generative_models_are_held_in_one_way(kind: str) -> None:
    model = fitted(kind, rng=3)
    assert isinstance(model, LatentModel)
    assert isinstance(model, lt.GenerativeModel)
    z = model.prior.sample(4, rng=torch.Generator().manual_seed(0))
    x = model.decode(z)
    assert x.shape == (4, 1, SIDE, SIDE)
    if kind != "gan":
        q = model.encode(x)
        assert q.mean.shape == q.rsample(rng=torch.Generator().manual_seed(0)).shape == z.shape
        assert q.log_prob(q.sample(rng=torch.Generator().manual_seed(0))).shape == (4,) or kind == "label split"
    assert len(model.labels) == (2 if kind == "label split" else 0)
    assert model.features == (("bold", "italic") if kind == "semantic" else ())


def test_the_best_checkpoint_on_validation_is_the_classifier() -> None:
    seen: dict[int, Any] = {}
    found = lt.fit_classifier(
        X, SETTINGS["classifier"], y=Y, validation=(X[:9], Y[:9]), rng=3,
        callback=lambda step, model: seen.update({step: {name: v.clone() for name, v in weights(model).items()}}),
    )  # fmt: skip
    kept = weights(found.model)
    assert all(torch.equal(kept[name], value) for name, value in seen[int(found.reached["step"])].items())
    assert 0 <= found.reached["validation"] <= 1


def test_losses_are_told_by_stage() -> None:
    found = lt.fit_semantic(X, PLACED, SETTINGS["semantic"], a=A, rng=3)
    assert set(found.losses) == {"vae", "gan"}
    assert set(found.losses["vae"]) == {"reconstruction", "divergence"}
    assert [step for step, _ in found.stages["gan"].losses_by_step["r1"]] == [2, 4, 6]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    np.savez(
        tmp_path / "toys.npz", x=rng.integers(0, 256, (120, SIDE, SIDE), dtype=np.uint8), y=np.arange(120) % 2,
        attributes=rng.integers(-1, 2, (120, 1)), attribute_names=["thick"], zeros="neutral",
    )  # fmt: skip
    return tmp_path


LOOP = ["--steps=4", "--batch_size=8", "--checkpoint_every=2"]
STAGES = [f"--{stage}.{flag[2:]}" for stage in ("vae", "gan") for flag in LOOP]
VERBS: dict[str, list[str]] = {
    "gan": [*LOOP, "--width=2", "--discriminator_width=2", "--latent_dim=3"],
    "classifier": [*LOOP, "--width=2"],
    "label-split": [*LOOP, "--width=1", "--label_dim=2", "--style_dim=3", "--flow_steps=3"],
    "semantic": [*STAGES, "--width=1", "--latent_dim=5"],
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_command_trains_what_python_trains(verb: str, folder: Path) -> None:
    flags = [*VERBS[verb], "--data", str(folder / "toys.npz"), "--seed=7", "--device=cpu", "--json"]
    assert main(["train", verb, *flags, "--out", str(folder / "out")]) == 0
    data = load_dataset(str(folder / "toys.npz"))
    short: dict[str, Any] = {"steps": 4, "batch_size": 8, "checkpoint_every": 2}
    train = data.split("train")
    if verb == "gan":
        model: Any = lt.fit_gan(train, None, GANSettings(**short, width=2, discriminator_width=2, latent_dim=3), rng=7)
    elif verb == "classifier":
        settings = ClassifierSettings(**short, width=2)
        model = lt.fit_classifier(train, settings, validation=data.split("validation"), rng=7)
    elif verb == "label-split":
        model = lt.fit_label_split(
            train, LabelSplitSettings(**short, width=1, label_dim=2, style_dim=3, flow_steps=3), rng=7
        )
    else:
        levels = featured(train)
        prior = lt.priors.SemanticPlacement(levels.features, 5, exclusive=levels.exclusive).observed(levels.a)
        stages = SemanticSettings(width=1, vae=SemanticVAESettings(**short), gan=SemanticGANSettings(**short))
        model = lt.fit_semantic(levels, prior, stages, rng=7)
    assert same(lt.load_model(folder / "out" / "model"), model.model)


@pytest.mark.parametrize(
    ("misuse", "message"),
    [
        (lambda: lt.fit_gan(torch.zeros(9, 1, 28, 32)), "square images"),
        (lambda: lt.fit_classifier(X, y=Y[:3]), "labels for each of 24 data, got 3"),
        (lambda: lt.fit_label_split(X, y=torch.zeros(N, dtype=torch.int64)), "two classes or more"),
        (lambda: lt.fit_label_split(X, LabelSplitSettings(label_dim=1), y=torch.arange(N) % 3), "label_dim of at least 2"),
        (lambda: lt.fit_semantic(X, PLACED, a=torch.full((N, 2), 0.5)), "levels -1, 0, 1"),
        (lambda: lt.fit_gan(X, settings=GANSettings(**{**SHORT, "batch_size": 99}, width=1)), "at least one batch of 99"),
    ],
)
def test_misuse_is_named(misuse: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        misuse()
