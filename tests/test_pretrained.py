"""Networks on disk: names and numbers out, the same network back, and every way in which a folder can be wrong."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from latentry.models import pretrained
from latentry.models.pretrained import installed_versions, load_network, save_network, shipped_models
from latentry.models.saving import load_model
from latentry.networks import DCGANDiscriminator, DCGANGenerator, PlainClassifier, ResidualClassifier
from latentry.priors import (
    GammaRadius,
    HalfUniformHalfNormal,
    IIDPrior,
    Normal,
    NormalMixture,
    RadialPrior,
    SphericalCauchy,
    Uniform,
)
from latentry.priors.univariate import UniformDistribution
from latentry.storage import fingerprint
from latentry.tasks.loading import load_with_unlabelled_prior

CARD = {"seed": 3, "metrics": {"accuracy": 0.5}, "data": None}


def saved(folder: Path, prior: IIDPrior | None = None) -> Path:
    save_network(folder, DCGANGenerator(4, width=1), Normal(4) if prior is None else prior, CARD)
    return folder


def with_config(folder: Path, **changes: Any) -> Path:
    config = json.loads((saved(folder) / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))
    return folder


@pytest.mark.parametrize(
    ("network", "prior"),
    [
        (DCGANGenerator(4, 32, 3, 1), Normal(4, loc=0.5, scale=2.0)),
        (DCGANGenerator(4, 28, 1, 1), Uniform(4, low=-2.0, high=0.5)),
        (DCGANGenerator(4, 28, 1, 1), HalfUniformHalfNormal(4)),
        (DCGANGenerator(4, 28, 1, 1), SphericalCauchy(4, scale=0.5)),
        (DCGANGenerator(4, 28, 1, 1), GammaRadius(4, theta=3.0)),
        (DCGANGenerator(4, 28, 1, 1), RadialPrior(4, UniformDistribution(0.5, 1.0))),
        (DCGANGenerator(4, 28, 1, 1), NormalMixture(torch.eye(4)[:2], torch.full((2, 4), 0.3), [0.25, 0.75])),
        (DCGANDiscriminator(28, 1, 1, "spectral"), None),
        (DCGANDiscriminator(28, 3, 1, "batch"), None),
        (PlainClassifier(3, 1, 1), None),
        (ResidualClassifier(3, 3, 1), None),
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_network_prior_and_card_come_back_as_they_went(network: nn.Module, prior: IIDPrior | None, tmp_path: Path) -> None:
    save_network(tmp_path / "model", network, prior, CARD)
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["config.json", "model.safetensors"]
    found = load_network(tmp_path / "model")

    assert type(found.network) is type(network)
    assert found.network.arguments == network.arguments
    assert not any(part.training for part in found.network.modules())
    ours, theirs = network.state_dict(), found.network.state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert repr(found.prior) == repr(prior)
    assert found.prior is None or found.prior.arguments() == prior.arguments()
    assert type(found.prior) is type(prior)
    assert found.card == {**CARD, "versions": installed_versions()}


def test_a_fingerprint_belongs_to_the_weights(tmp_path: Path) -> None:
    network = DCGANGenerator(4, width=1)
    save_network(tmp_path / "a", network, Normal(4), {})
    save_network(tmp_path / "b", network, Uniform(4), CARD)
    a, b = (load_model(str(tmp_path / name)).fingerprint for name in "ab")
    with torch.no_grad():
        network.paint[0].bias += 1e-6
    save_network(tmp_path / "c", network, Normal(4), {})
    assert a == b != load_model(tmp_path / "c").fingerprint


def test_half_precision_halves_the_file_and_is_loaded_single(tmp_path: Path) -> None:
    network = DCGANGenerator(4, width=4)
    for name, half in (("single", False), ("half", True)):
        save_network(tmp_path / name, network, Normal(4), {}, half=half)
    single, rounded = (load_network(tmp_path / name) for name in ("single", "half"))
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("half", "single")]
    assert sizes[0] < 0.6 * sizes[1]
    for kept, whole in zip(rounded.network.state_dict().values(), single.network.state_dict().values(), strict=True):
        assert kept.dtype == whole.dtype
        assert_close(kept, whole, rtol=1e-3, atol=1e-6)
    weights = [fingerprint(found.network.state_dict()) for found in (rounded, single)]
    assert load_model(tmp_path / "half").fingerprint == weights[0] != weights[1]


def test_saving_again_replaces_the_model(tmp_path: Path) -> None:
    saved(tmp_path)
    save_network(tmp_path, PlainClassifier(3, width=1), None, {})
    found = load_network(tmp_path)
    assert isinstance(found.network, PlainClassifier)
    assert found.prior is None


def test_a_class_from_elsewhere_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    class PlainClassifier(nn.Linear):
        """A namesake."""

    class MyPrior(Normal):
        pass

    for network in (PlainClassifier(4, 4), nn.Linear(4, 4)):
        with pytest.raises(
            ValueError, match=r"a class that latentry\.networks offers, got (Plain|Linear).* with safetensors"
        ):
            save_network(tmp_path, network, None, {})
    with pytest.raises(ValueError, match=r"a class that latentry\.priors offers, got MyPrior"):
        save_network(tmp_path, DCGANGenerator(4, width=1), MyPrior(4), {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("file", "message"),
    [("model.safetensors", r"weights at .*model\.safetensors"), ("config.json", r"JSON file at .*config")],
)
def test_a_missing_file_is_named(file: str, message: str, tmp_path: Path) -> None:
    (saved(tmp_path) / file).unlink()
    with pytest.raises(ValueError, match=message):
        load_network(tmp_path)


def test_broken_json_is_named(tmp_path: Path) -> None:
    path = saved(tmp_path) / "config.json"
    path.write_text(path.read_text()[:40])
    with pytest.raises(ValueError, match=r"config\.json is not valid JSON"):
        load_network(tmp_path)


GOOD = {"latent_dim": 4, "image_size": 28, "channels": 1, "width": 1}


@pytest.mark.parametrize(
    "network",
    [
        {"class": "Transformer", "arguments": {}},
        {"class": "dcgan", "arguments": {}},
        {"class": "__builtins__", "arguments": {}},
        {"class": "__dir__", "arguments": {}},
        {"class": 3, "arguments": {}},
        {"class": "DCGANGenerator", "arguments": {**GOOD, "depth": 3}},
        {"class": "DCGANGenerator", "arguments": {**GOOD, "width": 2}},
        {"class": "PlainClassifier", "arguments": {"num_classes": 3}},
        {"class": "DCGANGenerator"},
        {"arguments": GOOD},
        None,
    ],
)
def test_a_network_that_is_not_ours_or_does_not_fit_its_weights_is_refused(network: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"{tmp_path} does not describe a model of this version"):
        load_network(with_config(tmp_path, network=network))


@pytest.mark.parametrize("prior", [{"class": "Cauchy", "arguments": {}}, {"class": "Normal", "arguments": {"dims": 4}}, {}])
def test_a_prior_that_is_not_ours_is_refused(prior: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"{tmp_path} does not describe a model of this version"):
        load_network(with_config(tmp_path, prior=prior))


def test_arguments_out_of_range_are_refused(tmp_path: Path) -> None:
    network = {"class": "DCGANGenerator", "arguments": {**GOOD, "image_size": 30}}
    with pytest.raises(ValueError, match="got 30"):
        load_network(with_config(tmp_path, network=network))


def test_an_unknown_name_lists_the_shipped_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "_SHIPPED", tmp_path)
    for name in ("faces", "digits"):
        saved(tmp_path / name)
    (tmp_path / "half-written").mkdir()
    assert shipped_models() == ["digits", "faces"]
    assert load_network("faces").card["seed"] == 3
    with pytest.raises(ValueError, match=r"shipped models \['digits', 'faces'\] or the folder of a saved one, got 'cats'"):
        load_network("cats")


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return Path.touch, (self.target,)


def test_loading_never_unpickles(tmp_path: Path) -> None:
    target = tmp_path / "exploded"
    bomb = pickle.dumps(Bomb(target))
    folder = saved(tmp_path / "model")
    for name in ("pytorch_model.bin", "model.pt", "model.pkl"):
        (folder / name).write_bytes(bomb)
    load_network(folder)
    (folder / "model.safetensors").write_bytes(bomb)
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        load_network(folder)
    (folder / "config.json").write_bytes(bomb)
    with pytest.raises(ValueError, match="not valid JSON"):
        load_network(folder)
    assert not target.exists()
    pickle.loads(bomb)
    assert target.exists()  # it would have


def test_commands_take_radial_priors_and_name_those_that_they_do_not_take(tmp_path: Path) -> None:
    network = DCGANGenerator(2, width=1)
    save_network(tmp_path / "radial", network, GammaRadius(2), {})
    assert isinstance(load_with_unlabelled_prior(str(tmp_path / "radial"))[1], GammaRadius)
    save_network(tmp_path / "labelled", network, NormalMixture([[0.0, 0.0]], [[1.0, 1.0]]), {})
    with pytest.raises(ValueError, match=r"without labels, got NormalMixture.*`recover` and `evaluate` take it"):
        load_with_unlabelled_prior(str(tmp_path / "labelled"))
