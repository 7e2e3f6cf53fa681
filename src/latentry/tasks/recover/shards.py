"""Recovery of images of any number: chunk by chunk, in fixed memory, by one process or several, from where a run was killed.

The images are cut into shards of a fixed number. Each is read, recovered and written on its own, whole or not at all, from
starts of its own seed, so that it comes out the same whichever process takes it, and when. Process i of p takes every p-th
shard from the i-th on. A shard that is there already is compared with the images and the settings, and left alone.

A shard that takes longer than about a minute is computed in parts, each on disk until the shard is whole: a kill costs no
more than that. How many images are a part follows from the arithmetic that they take, not from a clock: so a run that goes
on cuts a shard as the first one did, and finds the same codes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from latentry.data.array_data import load_array
from latentry.data.images import from_pixels, to_pixels
from latentry.data.recovered import RecoveredCodes, joined_codes, read_codes, shard_path, write_codes
from latentry.data.sources import load_dataset
from latentry.data.survey import blank, blank_notes, open_images
from latentry.evaluation.code_distances import code_distances
from latentry.holding import evaluated, weights_like
from latentry.latent.recovery import automatic_solver, recover_codes
from latentry.latent.solvers.levenberg_marquardt import LevenbergMarquardt
from latentry.priors import SavedPrior
from latentry.storage import fingerprint
from latentry.tasks.recover.options import Measurement, WholeData
from latentry.tasks.runs import Processes
from latentry.tasks.settings import SplitName

__all__ = [
    "ImageSource",
    "Images",
    "ShardRecovery",
    "checked_images",
    "first_images",
    "own_images",
    "recover_shards",
    "source_images",
]

_STRIDE = 1_000_003
"""Between the seeds of two runs, so that no shards of theirs share one."""
_PART_STRIDE = 2**44
"""Between the seeds of two parts of a shard."""
_USUAL_STARTS = 4
"""Starts that a part of a shard is made for, where their number is left open."""
_MINUTE = {"cpu": 60 * 50e9, "cuda": 60 * 1e12}
"""Floating-point operations in a minute, on two cores and on a GPU; other devices count as GPUs."""


@dataclass(frozen=True)
class ImageSource:
    """Files of images, or a split of a data set."""

    files: Sequence[str]
    """Image files, or folders of them."""
    data: str | None = None
    """A data set by name, folder, .npz file or hf:NAME."""
    split: SplitName = "held-out"
    """Its split."""


@dataclass(frozen=True)
class Images:
    """Images that are read a few at a time."""

    count: int
    """How many there are."""
    names: Callable[[range], list[str]]
    """Where they come from."""
    read: Callable[[range], Float[Tensor, "n *s"]]
    """Images in [-1, 1], or other data in their own units."""
    notes: tuple[str, ...] = ()
    """Which images were left out, and what was done to the others."""
    labels: tuple[str, ...] | None = None
    """Name of the class of each, where the data have classes."""


@dataclass(frozen=True)
class ShardRecovery:
    """How every shard is recovered."""

    generator: nn.Module
    """G, on the device of the work."""
    prior: SavedPrior
    """Distribution of the codes."""
    options: dict[str, Any]
    """Arguments of `recover_codes`."""
    facts: dict[str, str]
    """All that decides the codes, as metadata of each shard."""
    shard_size: int = 256
    """Images of a shard."""
    seed: int = 0
    """Seed of the run, from which each shard has its own."""

    @property
    def images_a_part(self) -> int:
        """Images that take about a minute where every start takes all of its steps; 1 where a single one takes longer.

        Where the number of starts is left open, it counts as four.
        """
        like, d, solver = weights_like(self.generator, torch.empty(0)), self.prior.latent_dim, self.options["solver"]
        if isinstance(solver, str):
            solver = automatic_solver(self.options["difference"].norm, d)
        with evaluated(self.generator), torch.no_grad(), FlopCounterMode(display=False) as counter:
            self.generator(self.prior.sample(1, rng=torch.Generator().manual_seed(0)).to(like))
        passes = (
            (self.options["restarts"] or _USUAL_STARTS)
            * solver.steps
            * (d + 13 if isinstance(solver, LevenbergMarquardt) else 3)
        )
        budget = _MINUTE.get(like.device.type, _MINUTE["cuda"])
        return max(1, int(budget / max(1, counter.get_total_flops() * passes)))

    def write_shard(
        self, path: Path, x: Float[Tensor, "n *s"], number: int, facts: dict[str, str], names: list[str], progress: Any
    ) -> None:
        """Recover one shard, in parts where it is a long one, of which those on disk are left alone."""
        size, seed = self.images_a_part, self.seed * _STRIDE + number
        if size >= len(x):
            write_codes(path, self.codes(x, seed, facts, names, progress))
            return
        parts = []
        for place, first in enumerate(range(0, len(x), size)):
            rows = slice(first, first + size)
            part, own = _part_path(path, first, size), {**facts, "part": f"{size} from {first} on"}
            if part.exists():
                _check(part, own, names[rows])
            else:
                part_progress = _within(progress, place, -(-len(x) // size))
                seed_of_part = seed if place == 0 else (seed + place * _PART_STRIDE) % 2**63
                write_codes(part, self.codes(x[rows], seed_of_part, own, names[rows], part_progress))
            parts.append(read_codes(part))
        write_codes(path, replace(joined_codes(parts), metadata=facts))

    def codes(
        self, x: Float[Tensor, "n *s"], seed: int, facts: dict[str, str], names: list[str], progress: Any
    ) -> RecoveredCodes:
        """The codes of a shard or a part."""
        device = weights_like(self.generator, torch.empty(0)).device
        found = recover_codes(
            self.generator,
            x.to(device),
            self.prior,
            **{**self.options, "mask": None if self.options["mask"] is None else self.options["mask"].to(device)},
            rng=torch.Generator().manual_seed(seed),
            progress=progress,
        )
        return RecoveredCodes(
            z=found.z,
            reconstruction_error=found.reconstruction_error,
            met=found.met,
            converged=found.converged,
            disagreement=found.disagreement,
            evaluations=found.evaluations,
            undetermined=found.undetermined,
            p_value=_p_values(found.z.cpu(), self.prior),
            names=tuple(names),
            metadata=facts,
        )


def source_images(source: ImageSource, seen: Measurement | WholeData) -> Images:
    """The images of a source, in the format in which they are observed.

    Raises:
        ValueError: There are none, or both, or a file is missing.
    """
    if bool(source.files) == (source.data is not None):
        raise ValueError("expected images: files or folders of them, or one data set with --data; not both")
    if isinstance(seen, WholeData):
        return _rows_of_a_file(source, seen.shape)
    if source.data is None:
        files = open_images(source.files, image_size=seen.size, channels=seen.channels, once=True)
        return Images(len(files), lambda rows: [files.pictures[row].name for row in rows], files.images, files.notes)
    data = load_dataset(source.data, image_size=seen.size, channels=seen.channels).split(source.split)
    labels = None if data.y is None else tuple(data.class_names[label] for label in data.labels.tolist())
    return Images(len(data), lambda rows: [f"{data.name} {row}" for row in rows], data.images, data.notes, labels)


def _rows_of_a_file(source: ImageSource, shape: tuple[int, ...]) -> Images:
    """The data of a file, all rows of it."""
    if len(source.files) > 1:
        raise ValueError(f"expected one file of data of shape {shape}, got {len(source.files)}; put them into one array")
    path = source.files[0] if source.data is None else source.data
    x = load_array(path, shape)
    return Images(len(x), lambda rows: [f"{Path(path).name} {row}" for row in rows], lambda rows: x[rows.start : rows.stop])


def checked_images(images: Images, size: int) -> Images:
    """The same images, each of them read once, so that a broken one is named before anything is computed.

    Args:
        images: Images.
        size: How many are read at once.

    Raises:
        ValueError: One cannot be read.
    """
    empty = [name for _, rows in _shards(images, size) for name in blank(images.names(rows), images.read(rows))]
    return replace(images, notes=tuple(dict.fromkeys((*images.notes, *blank_notes(empty)))))


def first_images(source: ImageSource, count: int, seen: Measurement) -> tuple[Images, Float[Tensor, "n c h w"]]:
    """The images of a source, and the first ones, at most so many, as a tensor.

    Raises:
        ValueError: As in `source_images`, or one cannot be read.
    """
    images = source_images(source, seen)
    rows = range(min(count, images.count))
    x = images.read(rows)
    notes = tuple(dict.fromkeys((*images.notes, *blank_notes(blank(images.names(rows), x)))))
    return replace(images, notes=notes), x


def own_images(
    count: int, generator: nn.Module, prior: SavedPrior, seen: Measurement | WholeData, rng: torch.Generator
) -> tuple[Images, Float[Tensor, "n d"]]:
    """The generator's own images, treated as the user's are (measured, eight bits), and their codes.

    Args:
        count: How many.
        generator, prior: What makes them, and the distribution of their codes.
        seen: What is observed of them.
        rng: Of the codes, with the seed of no shard: a start that is the true code would find it at once.
    """
    z = prior.sample(count, rng=rng)

    def read(rows: range) -> Tensor:
        with evaluated(generator), torch.no_grad():
            x = seen(generator(z[rows.start : rows.stop].to(weights_like(generator, z).device))).cpu()
        return x if isinstance(seen, WholeData) else from_pixels(to_pixels(x))

    return Images(count, lambda rows: [f"own image {row}" for row in rows], read), z


def recover_shards(
    images: Images, work: ShardRecovery, folder: Path, processes: Processes, progress: Callable[[int, int], None]
) -> None:
    """Recover and write the shards of this process that are not there yet; returns when those of all processes are.

    Args:
        images: What is recovered.
        work: How.
        folder: Where the shards go.
        processes: Which process this is, of how many.
        progress: Called as `progress(done, total)`, in per mille of this process's shards.

    Raises:
        ValueError: A shard on disk was made with other settings, or the images or settings are not such as can be recovered.
    """
    mine = list(_shards(images, work.shard_size))[processes.index :: processes.count]
    for place, (number, rows) in enumerate(mine):
        x, names, path = images.read(rows), images.names(rows), shard_path(folder, number)
        shards = -(-images.count // work.shard_size)
        facts = {**work.facts, "images": fingerprint({"x": x}), "shard": str(number), "shards": str(shards)}
        if path.exists():
            _check(path, facts, names)
        else:
            work.write_shard(path, x, number, facts, names, _within(progress, place, len(mine)))
        for part in path.parent.glob(_part_path(path, "*", "*").name):
            part.unlink()
        progress(1000 * (place + 1), 1000 * len(mine))
    processes.wait()


def _p_values(z: Float[Tensor, "n d"], prior: SavedPrior) -> Float[Tensor, "n"]:
    """Of each code's own elements; NaN for a code at which the generator gave NaN from every start."""
    finite = z.isfinite().all(1)
    p_value = torch.full((len(z),), torch.nan, dtype=torch.float64)
    if finite.any():
        p_value[finite] = code_distances(z[finite], prior)["KS"].p_value.double()
    return p_value


def _shards(images: Images, size: int) -> Iterator[tuple[int, range]]:
    for number, first in enumerate(range(0, images.count, size)):
        yield number, range(first, min(first + size, images.count))


def _part_path(path: Path, first: int | str, size: int | str) -> Path:
    """Where a part of this shard lies until the shard is whole."""
    return path.with_name(f"part-of-{path.stem}-{first}-{size}{path.suffix}")


def _within(progress: Callable[[int, int], None], place: int, count: int) -> Callable[[int, int], None]:
    """Progress of one shard as that of all."""
    return lambda done, total: progress(1000 * place + 1000 * done // total, 1000 * count)


def _check(path: Path, facts: dict[str, str], names: list[str]) -> None:
    found = read_codes(path)
    differing = sorted(name for name in facts if name != "versions" and found.metadata.get(name) != facts[name])
    if found.names != tuple(names):
        differing.append("names of the images")
    if differing:
        raise ValueError(
            f"{path} was made with other settings than those of now ({', '.join(differing)}); choose another --out, or "
            "remove that folder to begin anew (--force replaces finished results alone)"
        )
