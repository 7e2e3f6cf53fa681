"""A generator of anyone's with the prior of its codes, from wherever it lies."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from latentry.generators.opening import SOURCES, open_generator
from latentry.generators.outputs import Output, OutputRange
from latentry.generators.python_code import names_code
from latentry.holding import Condition, as_condition, evaluated, require_generator, weights_like
from latentry.holding.conditions import cycled
from latentry.models.generative import GenerativeModel
from latentry.models.pretrained import is_model, shipped_models
from latentry.models.saving import load_model
from latentry.names import printable
from latentry.paths import user_path
from latentry.priors import Normal
from latentry.priors.adapters import as_prior, draw

__all__ = ["load_generator"]

_TRIAL = 3


def load_generator(
    source: str | Path,
    *,
    code_shape: Sequence[int] | int | None = None,
    prior: Any = None,
    output: Output | None = None,
    output_range: OutputRange | None = None,
    condition: Condition | None = None,
    download: bool = False,
    run_code: bool = False,
) -> GenerativeModel:
    r"""A generator of anyone's with the prior of its codes, from a name, a file or a folder.

    =============================== =========================================================================================
    source                          what it is
    =============================== =========================================================================================
    ``digits-generator``            a shipped model; or the folder that `save_model` or `latentry train` wrote
    ``nets.py:make``,               **Python, which is run**: a module, a function z -> x, or a class or function without
    ``package.module:Net``          arguments that makes one (`latentry.generators.python_code`)
    ``net.pt``                      TorchScript
    ``net.pt2``                     an archive of `torch.export`, exported for any number of codes
    ``net.onnx``                    ONNX, converted to torch (``pip install latentry[onnx]``)
    ``nets.py:Net@net.safetensors`` weights, or a state dict of `torch.save`, for the module that the Python makes
    ``vae/``, ``hf:owner/name``     an autoencoder of diffusers (``pip install latentry[diffusers]``): its decoder
    =============================== =========================================================================================

    A pickle is not opened: `latentry convert` takes the weights out of one. Nothing is downloaded.

    Args:
        source: Where it is.
        code_shape: Shape of one code as the generator takes it, such as `(64,)`, `(100, 1, 1)`, `(4, 8, 8)` or `(14, 512)`.
            By default it is found out. Everywhere else codes are `(n, d)`; `model.shaped` shows them in this shape.
        prior: Distribution of the codes `(n, d)`. By default the one that the source has, or else N(0, I): the model says
            which.
        output: Entry of the output that holds the data, where it is a tuple, a dict or an object: a place or a name.
        output_range: Both ends of the data as the generator makes them, such as `(0, 1)`; they are then brought to [-1, 1].
            By default they keep their units.
        condition: Some rows of what a conditional generator takes along with codes, for the trial calls.
        download: Whether `hf:` may fetch what is not in the cache of the hub.
        run_code: Whether Python that the folder of a saved model names may be run; what you name yourself is run anyway.

    Returns:
        The model. `save_model` keeps it by reference, with the hash of its files.

    Raises:
        ValueError: The source holds no generator; one sentence says what it holds, what was expected and what to write. Or
            the shape of codes cannot be found out, the prior is of another length, or the generator is stochastic, treats
            codes of a batch together, has no gradient, or makes NaN.

    Example:
        >>> import tempfile, torch
        >>> file = Path(tempfile.mkdtemp()) / "nets.py"
        >>> _ = file.write_text("import torch\nwave = lambda z: torch.sin(z[:, :1] * torch.arange(9.0) + z[:, 1:])\n")
        >>> model = load_generator(f"{file}:wave", code_shape=2)
        >>> model.decode(model.prior.sample(3)).shape
        torch.Size([3, 9])
    """
    source = str(source)
    if is_model(source):
        return _of_latentry(
            source, prior, run_code, {"code_shape": code_shape, "output": output, "output_range": output_range}
        )
    _check_there(source)
    given, condition = None if prior is None else as_prior(prior), as_condition(condition)
    generator, own = open_generator(
        source,
        code_shape=code_shape,
        output=output,
        output_range=output_range,
        latent_dim=None if given is None else given.latent_dim,
        download=download,
        condition=condition,
    )
    if given is not None:
        model = GenerativeModel(generator, given)
    elif own is not None:
        model = GenerativeModel(generator, as_prior(own), prior_is="own")
    else:
        model = GenerativeModel(generator, Normal(generator.latent_dim), prior_is="assumed")
    _check(model, source, condition)
    return model


def _of_latentry(source: str, prior: Any, run_code: bool, others: dict[str, Any]) -> GenerativeModel:
    if given := [name for name, value in others.items() if value is not None]:
        raise ValueError(
            f"expected the model {source} alone, which says itself how its generator is called, got {', '.join(given)} "
            "besides; leave it out"
        )
    model = load_model(source, GenerativeModel, run_code=run_code)
    if prior is None:
        return model
    given_prior = as_prior(prior)
    if given_prior.latent_dim != model.prior.latent_dim:
        raise ValueError(
            f"expected a prior of length {model.prior.latent_dim}, as the generator of {source} takes codes, got one of "
            f"length {given_prior.latent_dim}; pass such a prior"
        )
    return replace(model, prior=given_prior, prior_is="given")


def _check_there(source: str) -> None:
    if not (names_code(source) or ".py:" in source or source.startswith("hf:") or user_path(source).exists()):
        raise ValueError(
            f"expected a generator, got {printable(source)!r}, which is neither a file nor one of the shipped models "
            f"{shipped_models()}; a generator is {SOURCES}"
        )


def _check(model: GenerativeModel, source: str, condition: Condition | None) -> None:
    """Make sure of the generator on codes of its prior."""
    try:
        z = draw(model.prior, (_TRIAL,), torch.Generator().manual_seed(0))
        with evaluated(model.generator) as (generator,):
            require_generator(generator, z.to(weights_like(model.generator, z)), cycled(condition, _TRIAL))
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
