"""A basis in a file: named tensors and metadata, with the hash of the generator that it was computed for.

Files of two other programs are read as well. InterFaceGAN writes one boundary as `.npy`, `(1, d)`, of norm 1. GANSpace
writes components as `.npz`: `lat_comp`, `(k, 1, d)`, of norm 1, `lat_mean`, `(1, d)`, and `lat_stdev`, `(k,)`, the standard
deviation of codes along each.

References: Shen et al., "Interpreting the latent space of GANs for semantic face editing", 2020; Härkönen et al., "GANSpace:
discovering interpretable GAN controls", 2020.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from latentry.array_files import read_npy, read_npz
from latentry.interfaces import Generator
from latentry.latent.fingerprints import fingerprint_of
from latentry.latent.quasi_eigenbasis import QuasiEigenbasis
from latentry.paths import user_path
from latentry.storage import read_json, read_tensors, write_json, write_tensors

__all__ = ["load_basis", "save_basis"]

_TENSORS, _NOTES = "basis.safetensors", "basis.json"
_COMPONENTS, _MEAN, _SPREAD = "lat_comp", "lat_mean", "lat_stdev"
"""Arrays of GANSpace that are of codes; those of activations (`act_...`) are not read."""


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
    """What `save_basis` wrote, or directions that InterFaceGAN or GANSpace wrote, on the CPU.

    Boundaries keep their norm of 1, so that a coefficient is the distance to the boundary of codes about 0. Components of
    GANSpace are rows times their standard deviation, so that a coefficient counts standard deviations, as it does there.

    Args:
        folder: Where the basis lies, a `.npy` file with a boundary in each row, or an `.npz` file of GANSpace.
        generator: The generator that it is meant for, to make sure that it is the one it was found for.

    Raises:
        ValueError: The folder lacks a file, or holds a basis of another version or generator; or a file has no directions.

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
    if folder.suffix in (".npy", ".npz"):
        return _boundaries(folder) if folder.suffix == ".npy" else _components(folder)
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


def _boundaries(file: Path) -> QuasiEigenbasis:
    """Normals of boundaries, one in each row."""
    rows = _floats(read_npy(file), "boundaries", file)
    if rows.ndim != 2:
        raise ValueError(
            f"expected boundaries of shape (m, d) in {file}, got {tuple(rows.shape)}; save them as numpy.stack(rows)"
        )
    return _unlabelled(rows, torch.zeros(rows.shape[1]), "boundaries of a file", file)


def _components(file: Path) -> QuasiEigenbasis:
    """Components of GANSpace in codes, each as long as the standard deviation along it."""
    arrays = read_npz(file)
    missing = [name for name in (_COMPONENTS, _MEAN, _SPREAD) if name not in arrays]
    if missing:
        raise ValueError(
            f"expected components of GANSpace in {file}, with lat_comp, lat_mean and lat_stdev, but it lacks "
            f"{', '.join(missing)}; pass a file of its folder cache/components"
        )
    rows, mean, spread = (_floats(arrays[name], name, file) for name in (_COMPONENTS, _MEAN, _SPREAD))
    rows, mean = rows.flatten(1), mean.flatten()
    if rows.shape != (len(spread), len(mean)) or spread.ndim != 1:
        raise ValueError(
            f"expected lat_comp (k, 1, d), lat_mean (1, d) and lat_stdev (k,) in {file}, got {rows.shape[0]} components of "
            f"{rows.shape[1]} elements, a mean of {len(mean)} and spreads {tuple(spread.shape)}; write it again"
        )
    return _unlabelled(rows * spread[:, None], mean, "components of GANSpace", file)


def _floats(array: np.ndarray, name: str, file: Path) -> Tensor:
    if array.dtype.kind not in "iuf" or array.ndim == 0 or array.size == 0:
        raise ValueError(
            f"expected {name} as real numbers in {file}, got {array.dtype} of shape {array.shape}; save them as float32"
        )
    return torch.from_numpy(array.astype(np.float32))


def _unlabelled(rows: Tensor, offset: Tensor, method: str, file: Path) -> QuasiEigenbasis:
    """A basis whose rows bear no label."""
    if not (rows.isfinite().all() and offset.isfinite().all() and rows.norm(dim=1).all()):
        raise ValueError(f"expected finite directions other than 0 in {file}, got NaN, infinity or 0; write it again")
    return QuasiEigenbasis(
        vectors=rows,
        num_labels=0,
        offset=offset,
        method=method,
        label_means=rows.new_zeros(0, rows.shape[1]),
        counts=(),
        condition_number=torch.linalg.cond(rows.double()).item(),
    )
