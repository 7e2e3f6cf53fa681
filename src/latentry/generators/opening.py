"""Opening the source of a generator: its kind, its content, and the module of codes `(n, d)` made from it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from latentry.generators.adapted import AdaptedGenerator, Origin
from latentry.generators.code_shape import check_code_shape, found_code_shape
from latentry.generators.found import Found
from latentry.generators.onnx_files import from_onnx
from latentry.generators.outputs import Output, OutputRange
from latentry.generators.pretrained_folders import from_folder, from_hub
from latentry.generators.python_code import from_python, names_code
from latentry.generators.torch_files import from_torch_file, is_torch_file
from latentry.generators.weights import with_weights
from latentry.holding import Condition
from latentry.paths import user_path
from latentry.storage import file_hash

__all__ = ["SOURCES", "open_generator", "source_hashes"]

SOURCES = (
    "a shipped name, a folder of a saved model, file.py:name, package.module:name, TorchScript (.pt), a torch.export "
    "archive (.pt2), ONNX (.onnx), file.py:Class@weights.safetensors, a folder of diffusers, or hf:owner/name"
)
"""What a generator may come from, in words."""


def open_generator(
    source: str,
    *,
    code_shape: Sequence[int] | int | None = None,
    output: Output | None = None,
    output_range: OutputRange | None = None,
    latent_dim: int | None = None,
    download: bool = False,
    condition: Condition | None = None,
    trial: bool = True,
) -> tuple[AdaptedGenerator, Any]:
    """The generator of a source as a module of codes `(n, d)`, and the prior that the source brings along, or None.

    Args:
        source: Any of `SOURCES` but those of latentry itself.
        code_shape, output, output_range: As of `as_generator`.
        latent_dim: Length of a code where a prior is given.
        download: Whether `hf:` may fetch what is not in the cache.
        condition: Some rows of what a conditional generator takes along with codes, for the trial calls.
        trial: Whether it is called on codes; if not, `code_shape` is taken as it is.

    Raises:
        ValueError: The source is none, cannot be read, or is no generator; one sentence says what it holds instead.
    """
    found = _found(source, download)
    hashes = source_hashes(found)
    output = found.output if output is None else output
    prior_dim = getattr(found.prior, "latent_dim", None) if latent_dim is None else latent_dim
    try:
        if not trial and code_shape is not None:
            shape = check_code_shape(code_shape)
        else:
            shape = found_code_shape(
                found.function, code_shape, signature=found.code_shape, latent_dim=prior_dim, condition=condition
            )
        origin = Origin(found.parts, hashes, found.runs_code)
        generator = AdaptedGenerator(found.function, shape, output, output_range, origin)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
    for part in generator.modules():
        if getattr(part, "training", False):
            part.training = False  # eval() of exported modules refuses
    return generator, found.prior


def source_hashes(found: Found) -> tuple[tuple[str, str], ...]:
    """SHA-256 of each file that decides what a generator does, with its name."""
    return tuple((path.name, file_hash(path)) for path in found.files)


def _found(source: str, download: bool) -> Found:
    if source.startswith("hf:"):
        return from_hub(source, download)
    code, at, weights = source.rpartition("@")
    if at and names_code(code):
        return with_weights(from_python(code), weights, code)
    if names_code(source):
        return from_python(source)
    path = user_path(source)
    if path.is_dir():
        return from_folder(path)
    if not path.is_file():
        raise ValueError(f"expected a generator, got {source!r}, which is none of: {SOURCES}; check its name")
    return _of_file(path)


def _of_file(path: Path) -> Found:
    if path.stat().st_size == 0:
        raise ValueError(f"expected a generator in {path}, got an empty file; save it again")
    if path.suffix == ".safetensors":
        raise ValueError(
            f"expected a generator in {path}, got weights alone; name the class that they belong to: file.py:Class@{path}"
        )
    if path.suffix == ".onnx":
        return from_onnx(path)
    if is_torch_file(path):
        return from_torch_file(path)
    raise ValueError(
        f"expected a generator in {path}, got a file of another kind ({path.suffix or 'no suffix'}); a generator is "
        f"{SOURCES}"
    )
