"""A basis in a file: named tensors and metadata, with the hash of the generator that it was computed for."""

from pathlib import Path

import torch

from latentry.interfaces import Generator
from latentry.latent.fingerprints import fingerprint_of
from latentry.latent.quasi_eigenbasis import QuasiEigenbasis
from latentry.paths import user_path
from latentry.storage import read_json, read_tensors, write_json, write_tensors

__all__ = ["load_basis", "save_basis"]

_TENSORS, _NOTES = "basis.safetensors", "basis.json"


def save_basis(folder: str | Path, basis: QuasiEigenbasis) -> None:
    """Write `basis.safetensors` and `basis.json`, in a folder of their own or beside the generator's files.

    Example:
        >>> import torch, latentry as lt
        >>> from tempfile import TemporaryDirectory
        >>> basis = lt.directions.basis_from_codes(torch.randn(20, 3), torch.arange(20) % 2)
        >>> with TemporaryDirectory() as folder:
        ...     lt.directions.save_basis(folder, basis)
        ...     torch.equal(lt.directions.load_basis(folder).vectors, basis.vectors)
        True
    """
    tensors = {
        "vectors": basis.vectors,
        "offset": basis.offset,
        "label_means": basis.label_means,
        "condition_number": torch.tensor(basis.condition_number, dtype=torch.float64),  # JSON knows no infinity
    }
    notes = {
        "num_labels": basis.num_labels,
        "method": basis.method,
        "counts": list(basis.counts),
        "generator": basis.generator_fingerprint,
        "prior": basis.prior,
        "class_names": list(basis.class_names),
    }
    write_tensors(Path(folder) / _TENSORS, tensors)
    write_json(Path(folder) / _NOTES, notes)


def load_basis(folder: str | Path, generator: Generator | None = None) -> QuasiEigenbasis:
    """What `save_basis` wrote, on the CPU.

    Args:
        folder: Where it lies.
        generator: The generator that it is meant for, to make sure that it is the one it was found for.

    Raises:
        ValueError: The folder lacks a file, or holds a basis of another version or generator.

    Example:
        >>> import torch, latentry as lt
        >>> from tempfile import TemporaryDirectory
        >>> basis = lt.directions.basis_from_codes(torch.randn(20, 3), torch.arange(20) % 2)
        >>> with TemporaryDirectory() as folder:
        ...     lt.directions.save_basis(folder, basis)
        ...     lt.directions.load_basis(folder).num_labels
        2
    """
    folder = user_path(folder)
    notes = read_json(folder / _NOTES)
    tensors = read_tensors(folder / _TENSORS)
    try:
        basis = QuasiEigenbasis(
            vectors=tensors["vectors"],
            num_labels=notes["num_labels"],
            offset=tensors["offset"],
            method=notes["method"],
            label_means=tensors["label_means"],
            counts=tuple(notes["counts"]),
            condition_number=tensors["condition_number"].item(),
            generator_fingerprint=notes["generator"],
            prior=notes["prior"],
            class_names=tuple(notes.get("class_names", ())),
        )
        _check_saved(basis)
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"{folder} does not describe a basis of this version of latentry ({error}); find and save it again"
        ) from None
    weights = None if generator is None else fingerprint_of(generator)
    if None not in (weights, basis.generator_fingerprint) and weights != basis.generator_fingerprint:
        raise ValueError(
            f"expected the generator with weights {basis.generator_fingerprint} that the basis in {folder} was found for, "
            f"got one with {weights}; find a basis of this one"
        )
    return basis


def _check_saved(basis: QuasiEigenbasis) -> None:
    """Make sure that what a file says fits together."""
    rows, k = basis.vectors, basis.num_labels
    if rows.ndim != 2 or type(k) is not int or not 0 <= k <= len(rows) or len(basis.counts) != k:
        raise ValueError(f"rows of shape {tuple(rows.shape)} for {k!r} labels with {len(basis.counts)} counts")
    if len(basis.class_names) not in (0, k) or not all(isinstance(name, str) for name in basis.class_names):
        raise ValueError(f"{len(basis.class_names)} names of {k} labels")
    if basis.offset.shape != rows.shape[1:] or basis.label_means.shape != (k, rows.shape[1]):
        raise ValueError(f"rows of shape {tuple(rows.shape)} with means of shape {tuple(basis.label_means.shape)}")
    for name, values in (("rows", rows), ("offset", basis.offset), ("means", basis.label_means)):
        if not (values.is_floating_point() and values.isfinite().all()):
            raise ValueError(f"{name} with NaN, infinity or integers")
