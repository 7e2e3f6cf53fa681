"""Inverses in files: their weights, and the generator and prior that they belong to."""

import json
from dataclasses import asdict
from pathlib import Path

import torch

from latentry.holding import Condition, as_condition, evaluated, tried
from latentry.holding.conditions import arguments, cycled
from latentry.interfaces import Generator, Prior
from latentry.latent.encoder_fitting import (
    Pairs,
    prior_record,
)
from latentry.latent.fingerprints import fingerprint_of
from latentry.latent.inverse import Inverse
from latentry.latent.inverse_report import DataReport, InverseReport
from latentry.networks import channels_last
from latentry.networks import files as network_files
from latentry.paths import user_path
from latentry.priors import files as prior_files
from latentry.storage import read_json, read_tensors, write_json, write_tensors

__all__ = ["load_inverse", "save_inverse"]

_WEIGHTS, _CONFIG = "inverse.safetensors", "inverse.json"
_TRIAL_CODES = 3


def save_inverse(folder: str | Path, inverse: Inverse) -> None:
    """Write `inverse.safetensors` and `inverse.json`, in a folder of their own or beside the generator's files.

    Raises:
        ValueError: The encoder is not a public class of `latentry.networks`.

    Example:
        >>> import tempfile
        >>> import torch, latentry as lt
        >>> settings = lt.settings.InverseSettings(steps=2, width=1)
        >>> inverse = lt.fit_inverse(lambda z: 2 * z, lt.priors.Normal(3), settings, rng=0, progress=False)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     lt.encoders.save_inverse(folder, inverse)
        ...     lt.encoders.load_inverse(folder).data_shape
        (3,)
    """
    prior = inverse.prior
    config = {
        "encoder": network_files.record(inverse.encoder),
        "prior": prior_record(prior),
        "data_shape": list(inverse.data_shape),
        "generator": inverse.generator_fingerprint,
        "variational": inverse.variational,
        "report": asdict(inverse.report),
    }
    write_tensors(Path(folder) / _WEIGHTS, inverse.encoder.state_dict())
    write_json(Path(folder) / _CONFIG, config)


def load_inverse(
    folder: str | Path,
    generator: Generator | None = None,
    prior: Prior | None = None,
    *,
    condition: Condition | None = None,
) -> Inverse:
    """What `save_inverse` wrote, on the CPU.

    Args:
        folder: Where it lies.
        generator: The generator that it is meant for, to make sure that it is the one it was fitted to: by its weights if it
            is a module, by the shapes of codes and data in any case.
        prior: Distribution of the codes; that of the file by default. One that is no class of this package has to
            be given again.
        condition: Some rows of what a conditional generator takes along with codes, to try it with.

    Raises:
        ValueError: The folder lacks a file or holds an inverse of another version, generator or prior.

    Example:
        >>> import tempfile
        >>> import torch, latentry as lt
        >>> settings = lt.settings.InverseSettings(steps=2, width=1)
        >>> inverse = lt.fit_inverse(lambda z: 2 * z, lt.priors.Normal(3), settings, rng=0, progress=False)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     lt.encoders.save_inverse(folder, inverse)
        ...     lt.encoders.load_inverse(folder, lambda z: 2 * z).data_shape
        (3,)
    """
    folder = user_path(folder)
    config = read_json(folder / _CONFIG)
    weights = read_tensors(folder / _WEIGHTS)
    try:
        encoder = network_files.loaded(config["encoder"], weights)
        saved_prior = None if config["prior"] is None else prior_files.from_record(config["prior"]).float()
        variational: bool = config.get("variational", False)  # a file of an earlier version says nothing of it
        latent_dim: int = config["encoder"]["arguments"]["latent_dim"] // (2 if variational else 1)
        data_shape = tuple(config["data_shape"])
        course = tuple((step, error) for step, error in config["report"]["course"])
        errors = config["report"].get("element_errors")
        errors = None if errors is None else tuple(map(float, errors))
        data = config["report"].get("data")
        data = None if data is None else DataReport(**data)
        report = InverseReport(**{**config["report"], "course": course, "data": data, "element_errors": errors})
        fitted_to = config["generator"]
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{folder} does not describe an inverse of this version of latentry ({error}); fit and save it again"
        ) from None
    prior = _settled_prior(folder, prior, saved_prior, latent_dim)
    if generator is not None:
        _check_generator_fits(folder, generator, prior, fitted_to, data_shape, as_condition(condition))
    return Inverse(channels_last(encoder).eval(), prior, data_shape, fitted_to, report, variational)


def _settled_prior(folder: str | Path, passed: Prior | None, saved: Prior | None, latent_dim: int) -> Prior:
    prior = passed if passed is not None else saved
    if prior is None:
        raise ValueError(
            f"expected the prior along with {folder}, since no class of latentry.priors describes it; pass prior"
        )
    if prior.latent_dim != latent_dim:
        raise ValueError(
            f"expected codes of length {latent_dim} for the inverse in {folder}, got a prior of {prior.latent_dim}; "
            "fit an inverse of this generator"
        )
    if isinstance(passed, prior_files.SavedPrior) and isinstance(saved, prior_files.SavedPrior):
        records = [json.dumps(prior_files.record(one)) for one in (passed, saved)]
        if records[0] != records[1]:
            raise ValueError(
                f"expected the prior {saved!r} that the inverse in {folder} was fitted to, got {passed!r}; "
                "pass that prior or none, or fit an inverse anew"
            )
    return prior


def _check_generator_fits(
    folder: str | Path,
    generator: Generator,
    prior: Prior,
    fitted_to: str | None,
    data_shape: tuple[int, ...],
    condition: Condition | None,
) -> None:
    weights = fingerprint_of(generator)
    if None not in (weights, fitted_to) and weights != fitted_to:
        raise ValueError(
            f"expected the generator with weights {fitted_to} that the inverse in {folder} was fitted to, got one with "
            f"{weights}; fit an inverse of this one"
        )
    pairs, rng = Pairs(generator, prior), torch.Generator().manual_seed(0)
    with evaluated(generator), torch.no_grad():
        try:
            z = pairs.for_generator(pairs.codes(_TRIAL_CODES, rng))
            x = tried(generator, *arguments(z, cycled(condition, _TRIAL_CODES)))
        except (RuntimeError, ValueError) as error:
            raise ValueError(
                f"expected a generator of codes of length {prior.latent_dim} for the inverse in {folder}, got one that "
                f"refuses them ({str(error).splitlines()[0]}); fit an inverse of this one"
            ) from None
    if x.shape[1:] != data_shape:
        raise ValueError(
            f"expected a generator of data of shape {data_shape} for the inverse in {folder}, got {tuple(x.shape[1:])}; "
            "fit an inverse of this one"
        )
