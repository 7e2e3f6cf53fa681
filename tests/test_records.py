"""A record names a class of an explicit table and nothing else, and whatever stands in it is the thing or one error."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from latentry import networks, priors
from latentry.networks import files as network_files
from latentry.priors import files as prior_files
from latentry.priors import load_prior
from latentry.priors.univariate import NormalDistribution
from latentry.storage import write_json

PRIORS = [
    priors.Normal(3, 0.5, 2.0),
    priors.Uniform(3),
    priors.HalfUniformHalfNormal(3),
    priors.TruncatedCauchy(3),
    priors.Tabulated(3, [0.25, 0.75]),
    priors.Designed(3, [0.25, 0.75]),
    priors.SphericalCauchy(3),
    priors.GammaRadius(3),
    priors.LogUniformRadius(3),
    priors.RadialPrior(3, priors.tabulated.TabulatedDistribution((0.5, 0.5), 1.0, 2.0)),
    priors.NormalMixture([[0.0, 1.0], [2.0, 3.0]], [[1.0, 1.0], [1.0, 2.0]]),
    priors.SemanticPlacement(["a", "b"], 4),
]
ODD: list[Any] = [
    None,
    True,
    -1,
    0,
    10**400,
    1e400,
    float("nan"),
    "x",
    [],
    [[]],
    {},
    [{}],
    ["x"],
    [1.0, "x"],
    [[1.0], [2.0, 3.0]],
]


@pytest.mark.parametrize("prior", PRIORS, ids=lambda prior: type(prior).__name__)
def test_a_record_gives_the_prior_back_and_odd_values_in_it_one_error(prior: Any) -> None:
    record = json.loads(json.dumps(prior_files.record(prior)))
    again = prior_files.from_record(record)
    assert type(again) is type(prior)
    assert again.arguments() == prior.arguments()
    for name in record["arguments"]:
        for value in ODD:
            changed = copy.deepcopy(record)
            changed["arguments"][name] = value
            try:
                found = prior_files.from_record(changed)
            except ValueError as error:
                said = str(error)
            else:
                said = "expected" if found.sample(2).shape[1] == found.latent_dim else "another length"
            assert "expected" in said


def test_every_prior_and_network_of_the_package_has_a_name_in_the_table() -> None:
    shared = {"IIDPrior", "Pushforward", "UnlabelledPrior", "SavedPrior"}
    kinds = {name for name in priors.__all__ if isinstance(getattr(priors, name), type)} - shared
    assert set(prior_files._CLASSES) == {
        name for name in kinds if issubclass(getattr(priors, name), nn.Module) and name != "TrainedMixture"
    }
    modules = {name for name in networks.__all__ if isinstance(getattr(networks, name), type)}
    assert set(network_files._CLASSES) == modules


@pytest.mark.parametrize("files", [prior_files, network_files], ids=["prior", "network"])
@pytest.mark.parametrize(
    "content",
    [
        {"class": "load_prior", "arguments": {"path": "/etc/passwd"}},
        {"class": "design_radial", "arguments": {"latent_dim": 4}},
        {"class": "files", "arguments": {}},
        {"class": "__class__", "arguments": {}},
        {"class": ["Normal"], "arguments": {}},
        {"class": "Normal", "arguments": [3]},
        {"class": "Normal"},
        {"class": "channels_last", "arguments": {"network": None}},
        {"class": "TrainedMixture", "arguments": {"num_classes": 1, "latent_dim": 10**8}},
        [],
        None,
        "Normal",
    ],
)
def test_what_is_no_class_of_the_table_is_never_called(files: Any, content: Any) -> None:
    with pytest.raises(ValueError, match=r"expected the class and the arguments of a (prior|network)"):
        files.from_record(content)


@pytest.mark.parametrize(
    "content",
    [
        {"class": "Normal", "arguments": {"latent_dim": 10**12}},
        {"class": "SemanticPlacement", "arguments": {"features": ["a"], "latent_dim": 10**9}},
        {"class": "SemanticPlacement", "arguments": {"features": list("abcdefghijk"), "latent_dim": 10**6}},
        {"class": "RadialPrior", "arguments": {"latent_dim": 3, "radius_distribution": {"class": "os", "arguments": {}}}},
        {"class": "RadialPrior", "arguments": {"latent_dim": 3, "radius_distribution": {"class": "NormalDistribution"}}},
        {"class": "RadialPrior", "arguments": {"latent_dim": 3, "radius_distribution": {"class": []}}},
    ],
)
def test_sizes_that_no_code_has_and_distributions_without_a_name_are_refused(content: Any, tmp_path: Path) -> None:
    write_json(tmp_path / "prior.json", content)
    with pytest.raises(ValueError, match="expected"):
        load_prior(tmp_path / "prior.json")


def test_priors_and_distributions_of_ones_own_cannot_be_recorded() -> None:
    class Mine(priors.Normal):
        pass

    class MyDistribution(NormalDistribution):
        @property
        def support(self) -> tuple[float, float]:
            return (0.0, torch.inf)

    with pytest.raises(ValueError, match="got Mine; pass your own"):
        prior_files.record(Mine(3))
    with pytest.raises(ValueError, match="got MyDistribution; a distribution of your own cannot be saved"):
        prior_files.record(priors.RadialPrior(3, MyDistribution()))
