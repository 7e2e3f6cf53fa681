"""Recovered codes on disk, in shards: as many codes in each file as are in memory at once, and all of them joined.

`latentry recover` writes `codes/codes-00000.safetensors`, `codes-00001.safetensors`, ..., each with one row for each image
and, in its metadata, the images' names, the prior, the hash of the generator, the settings and the versions that made it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from latentry.display import Facts, Plottable, number
from latentry.holding import Condition, as_condition
from latentry.holding.conditions import condition_from_named, joined, named_parts
from latentry.names import counted
from latentry.paths import user_path
from latentry.storage import read_metadata, read_tensors, write_tensors

__all__ = ["RecoveredCodes", "joined_codes", "load_codes", "read_codes", "shard_path", "shard_paths", "write_codes"]

SHARDS = "codes"
"""Folder of the shards within that of a recovery."""

_KINDS = {"met": "bool", "converged": "bool", "evaluations": "torch.int64"}
"""Types of the tensors that are no real numbers."""
_LATER = ("undetermined",)
"""Tensors that shards of earlier versions lack."""
_OWN = ("shard", "images", "versions")
"""Metadata that may differ between shards of one recovery."""


@dataclass(frozen=True, repr=False)
class RecoveredCodes(Plottable):
    """Codes and what is known of each; one row for each image.

    Example:
        >>> zeros, yes = torch.zeros(2), torch.ones(2, dtype=torch.bool)
        >>> codes = RecoveredCodes(torch.zeros(2, 8), zeros, yes, yes, zeros, zeros.long(), zeros, zeros, ("a.png", "b.png"))
        >>> print(codes)
        2 recovered codes of 8 elements
          met                              2 of 2
        ...
    """

    z: Float[Tensor, "n d"]
    """The codes."""
    reconstruction_error: Float[Tensor, "n"]
    """Mean squared error of G(z), over what was seen; NaN where the generator gave NaN."""
    met: Bool[Tensor, "n"]
    """Whether G(z) is the image, up to rounding."""
    converged: Bool[Tensor, "n"]
    """Whether it is met, or the gradient of the loss is small."""
    disagreement: Float[Tensor, "n"]
    """Mean squared distance to the codes of other starts that did as well, over the prior's spread; NaN without any."""
    evaluations: Int[Tensor, "n"]
    """Cost of each: 1 for a forward pass of the generator or a column of its Jacobian, 2 for a gradient."""
    undetermined: Float[Tensor, "n"]
    """Share of the prior's variance that the image leaves open near the code; NaN where it is not known."""
    p_value: Float[Tensor, "n"]
    """Chance that a code of the prior has elements as unlike it (Kolmogorov-Smirnov); small for codes that left it."""
    names: tuple[str, ...]
    """Where each image came from."""
    metadata: dict[str, str] = field(default_factory=dict)
    """`prior`, `generator` (hash of its weights), `settings` and `versions` (JSON), and further facts."""
    condition: Condition | None = None
    """What a conditional generator took along with each code."""

    def __len__(self) -> int:
        return len(self.z)

    def _facts(self) -> Facts:
        n = len(self)
        errors = self.reconstruction_error.double()
        median = number(errors.nanmedian().item()) if n else "none"
        return Facts(
            f"{counted(n, 'recovered code')} of {counted(self.z.shape[1], 'element')}",
            (
                ("met", f"{int(self.met.sum())} of {n}"),
                ("mean squared error", f"median {median}"),
                ("codes with a p-value above 0.05", f"{int((self.p_value > 0.05).sum())} of {n}"),
                ("images", ", ".join(self.names[:2]) + (", ..." if n > 2 else "")),
                ("prior", self.metadata.get("prior", "not known")),
                ("generator", self.metadata.get("generator", "not known")),
            ),
        )

    def _draw(self, figure: Any) -> None:
        from latentry.display.drawing import FILL, draw_errors

        errors, values = figure.subplots(1, 2)
        draw_errors(errors, self.reconstruction_error, "mean squared error")
        p = self.p_value[self.p_value.isfinite()].double().cpu()
        values.hist(p.numpy(), bins=20, range=(0, 1), color=FILL)
        values.set_xlabel("p-value of a code in the prior", fontsize=8)
        values.tick_params(labelsize=7)


_TENSORS = tuple(name.name for name in fields(RecoveredCodes) if name.name not in ("names", "metadata", "condition"))


def shard_path(folder: str | Path, number: int) -> Path:
    """Where the shard of this number lies."""
    return Path(folder) / f"codes-{number:05d}.safetensors"


def write_codes(path: str | Path, codes: RecoveredCodes) -> None:
    """Write one shard, whole or not at all."""
    tensors = {name: getattr(codes, name) for name in _TENSORS} | named_parts(codes.condition)
    write_tensors(path, tensors, {**codes.metadata, "names": json.dumps(codes.names)})


def read_codes(path: str | Path) -> RecoveredCodes:
    """One shard.

    Raises:
        ValueError: There is no such file, or it holds something else.
    """
    tensors, metadata = read_tensors(path), read_metadata(path)
    if "z" in tensors:
        tensors = {name: torch.full(tensors["z"].shape[:1], torch.nan) for name in _LATER} | tensors
    missing = [name for name in _TENSORS if name not in tensors] + [name for name in ("names",) if name not in metadata]
    if missing:
        raise ValueError(
            f"expected recovered codes in {path}, but it lacks {', '.join(missing)}; pass what `latentry recover` wrote"
        )
    names = _names(metadata.pop("names"), path)
    for name in _TENSORS:
        _check_tensor(name, tensors[name], len(names), path)
    failed = tensors["reconstruction_error"].isnan()
    if not (tensors["z"].isfinite().all(1) | failed).all():
        raise ValueError(f"expected finite codes in {path}, got NaN or infinity beside a finite error; recover them again")
    condition = as_condition(condition_from_named(tensors), len(names)) if len(names) else None
    return RecoveredCodes(**{name: tensors[name] for name in _TENSORS}, names=names, metadata=metadata, condition=condition)


def _names(text: str, path: str | Path) -> tuple[str, ...]:
    try:
        names = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"expected a list of names in {path}, got {error}; recover the codes again") from None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"expected a list of names in {path}, got other JSON; recover the codes again")
    return tuple(names)


def _check_tensor(name: str, values: Tensor, count: int, path: str | Path) -> None:
    dimensions = 2 if name == "z" else 1
    if values.ndim != dimensions or len(values) != count:
        raise ValueError(
            f"expected {dimensions} dimension(s) of {name} and {count} rows, one for each name, in {path}, got shape "
            f"{tuple(values.shape)}; recover the codes again"
        )
    kind = "bool" if values.dtype == torch.bool else "real" if values.is_floating_point() else str(values.dtype)
    if kind != _KINDS.get(name, "real"):
        raise ValueError(
            f"expected {_KINDS.get(name, 'real')} numbers as {name} in {path}, got {values.dtype}; recover the codes again"
        )


def shard_paths(folder: str | Path) -> list[Path]:
    """The shards of a recovery in order, made sure that none is missing.

    Args:
        folder: The folder that `latentry recover` wrote, or the one of its shards.

    Raises:
        ValueError: There are no shards, not all of them, or those of several recoveries.
    """
    folder = user_path(folder)
    within = folder / SHARDS
    place = within if within.is_dir() else folder
    paths = sorted(place.glob("codes-*.safetensors"))
    if not paths:
        raise ValueError(f"expected recovered codes in {folder}, found none; pass the folder that `latentry recover` wrote")
    found = [read_metadata(path) for path in paths]
    common = [{name: value for name, value in facts.items() if name not in (*_OWN, "names")} for facts in found]
    count = common[0].get("shards", "")
    if any(facts != common[0] for facts in common) or not (count.isascii() and count.isdigit()):
        raise ValueError(f"expected the shards of one recovery in {place}, got those of several; recover into an own folder")
    if str(len(paths)) != count or any(path != shard_path(place, number) for number, path in enumerate(paths)):
        raise ValueError(f"expected {count[:20]} shards in {place}, found {len(paths)}; the same `latentry recover` goes on")
    return paths


def load_codes(folder: str | Path) -> RecoveredCodes:
    """All codes that `latentry recover` wrote, joined; for more than fit in memory, `read_codes` of each `shard_paths`.

    Raises:
        ValueError: There are no shards, not all of them, or those of several recoveries.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> zeros, yes = torch.zeros(1), torch.ones(1, dtype=torch.bool)
        >>> values = (torch.zeros(1, 8), zeros, yes, yes, zeros, zeros.long(), zeros, zeros)
        >>> with TemporaryDirectory() as folder:
        ...     write_codes(shard_path(folder, 0), RecoveredCodes(*values, names=("a.png",), metadata={"shards": "1"}))
        ...     load_codes(folder).names
        ('a.png',)
    """
    return joined_codes([read_codes(path) for path in shard_paths(folder)])


def joined_codes(parts: Sequence[RecoveredCodes]) -> RecoveredCodes:
    """Codes of several shards as one, in their order.

    Raises:
        ValueError: They are of several lengths or types.
    """
    if len({(part.z.shape[1], part.z.dtype, tuple(named_parts(part.condition))) for part in parts}) > 1:
        raise ValueError(
            "expected codes of one length and type, and the same parts of a condition, in all shards, got several; recover "
            "them again"
        )
    tensors = {name: torch.cat([getattr(part, name) for part in parts]) for name in _TENSORS}
    names = tuple(name for part in parts for name in part.names)
    metadata = {name: value for name, value in parts[0].metadata.items() if name not in ("shard", "images")}
    condition = joined([part.condition for part in parts])
    return RecoveredCodes(**tensors, names=names, metadata=metadata, condition=condition)
