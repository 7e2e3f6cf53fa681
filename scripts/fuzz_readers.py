"""Give every reader of files mutated files: each either reads them or says what is wrong in one ValueError.

    python scripts/fuzz_readers.py --mutations 50           # of each reader
    python scripts/fuzz_readers.py --minutes 60 --seed 7

Mutated are bytes (bits, runs of zeros, pieces cut out, doubled, moved or replaced, ends) and structure: values in JSON and
in the JSON headers of safetensors (other types, huge and deep ones, keys gone), folders in place of files and files in place
of folders. Readers run in forked processes with bounded memory and time. Any other error, a crash, a timeout or a warning is
printed with reader, seed and number of the mutation; the command then ends with exit code 1.
"""

import argparse
import gzip
import json
import os
import random
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import torch
from accelerate.accelerator import Accelerator
from PIL import Image
from torch import Tensor, nn
from torch.optim import Adam

from latentry.cli import LATENTRY, _run
from latentry.cli.parser import UsageError
from latentry.data import load_dataset, load_images
from latentry.data.recovered import RecoveredCodes, load_codes, shard_path, write_codes
from latentry.latent.basis_files import load_basis, save_basis
from latentry.latent.inverse import Inverse
from latentry.latent.inverse_files import load_inverse, save_inverse
from latentry.latent.inverse_report import InverseReport
from latentry.latent.quasi_eigenbasis import QuasiEigenbasis
from latentry.models.label_split import LabelSplit
from latentry.models.pretrained import load_network, save_network
from latentry.models.saving import load_model, save_model
from latentry.models.semantic import SemanticModel
from latentry.networks import DCGANGenerator, Perceptron, VectorEncoder
from latentry.priors import GammaRadius, Normal, NormalMixture, SemanticPlacement, Tabulated, load_prior, save_prior
from latentry.priors.table_files import read_table
from latentry.reports.pictures import write_png
from latentry.storage import read_json, read_metadata, read_tensors, write_json, write_tensors
from latentry.training.checkpoints import check_whole, saved_checkpoints
from latentry.training.history import History
from latentry.training.loop import train
from latentry.training.resuming import restore
from latentry.training.settings import LoopSettings

_MEMORY = 2**31
"""Bytes that a reader may take beyond what the process has."""
_SECONDS = 20
"""Time that it may take."""
_AT_ONCE = 20
"""Mutations for each forked process."""
_FINE = (ValueError, UsageError)


@dataclass(frozen=True)
class Reader:
    """What is read, from a folder that `make` filled."""

    make: Callable[[Path], object]
    read: Callable[[Path], object]


class _Line:
    """The least that can be trained."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.networks: dict[str, nn.Module] = {"line": nn.Linear(2, 1)}
        self.averages: dict[str, Any] = {}
        self.optimizers: dict[str, torch.optim.Optimizer] = {"line": Adam(self.networks["line"].parameters())}

    def step(self, batch: Any, rng: torch.Generator, update: Any) -> dict[str, Tensor]:
        loss = self.networks["line"](batch[0]).square().mean()
        update({"line": loss})
        return {"line": loss}


class _Rows:
    def __len__(self) -> int:
        return 4

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor]:
        return (torch.ones(len(indices), 2),)


def _checkpoint(folder: Path) -> None:
    loop = LoopSettings(2, 2, checkpoint_every=1)
    train(
        _Line(), _Rows(), loop, folder, seed=0, accelerator=Accelerator(cpu=True), identity={"a": 1},
        progress=lambda done, total: None,
    )  # fmt: skip


def _history(folder: Path) -> None:
    _checkpoint(folder)
    write_json(folder / "h.json", [{"step": 1, "error": 0.5, "seconds": 0.1}])


def _resume(folder: Path) -> None:
    path = saved_checkpoints(folder / "checkpoints")
    for place in path[-1:]:
        restore(_Line(), torch.Generator(), place, Accelerator(cpu=True), {"a": 1}, 2)


def _whole(folder: Path) -> None:
    for place in saved_checkpoints(folder / "checkpoints"):
        check_whole(place)


def _codes(folder: Path) -> None:
    for number in range(2):
        n = 3
        write_codes(
            shard_path(folder / "codes", number),
            RecoveredCodes(
                torch.zeros(n, 4), torch.zeros(n), torch.ones(n, dtype=torch.bool), torch.ones(n, dtype=torch.bool),
                torch.zeros(n), torch.ones(n, dtype=torch.int64), torch.zeros(n),
                torch.ones(n, dtype=torch.float64),
                ("a.png", "b.png", "c.png"), {"prior": "Normal(4)", "shards": "2", "shard": str(number)},
            ),
        )  # fmt: skip


def _basis(folder: Path) -> None:
    basis = QuasiEigenbasis(
        torch.eye(3, 4), 2, torch.zeros(4), "by hand", torch.zeros(2, 4), (5, 5), 1.0, "abc", "Normal(4)"
    )
    save_basis(folder, basis)


def _label_split(folder: Path) -> None:
    prior = NormalMixture(torch.tensor([[-1.0], [1.0]]), torch.ones(2, 1)).beside_normal(2)
    split = LabelSplit(Perceptron(3, 5, ()), prior, Perceptron(5, 1, ()), Perceptron(5, 4, ()), 1)
    save_model(folder, split, {})


def _semantic(folder: Path) -> None:
    placement = SemanticPlacement(("thick", "slanted"), 4)
    save_model(folder, SemanticModel(Perceptron(4, 5, ()), placement, Perceptron(5, 8, ())))


def _inverse(folder: Path) -> None:
    report = InverseReport(code_error=0.5, course=((1, 0.5),), forwards=3, seconds=0.1)
    save_inverse(folder, Inverse(VectorEncoder(4, (5,), 2), Normal(4), (5,), "abc", report))


def _idx(folder: Path) -> None:
    pixels, y = np.zeros((20, 3, 4), dtype=np.uint8), np.arange(20, dtype=np.uint8) % 2
    for name, values in (("train-images-idx3-ubyte", pixels), ("train-labels-idx1-ubyte.gz", y)):
        content = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes()
        (folder / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)


def _npz(folder: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (20, 8, 8), dtype=np.uint8)
    np.savez(
        folder / "x.npz", x=pixels, y=np.arange(20) % 2, class_names=["cat", "dog"],
        attributes=rng.integers(-1, 2, (20, 1)), attribute_names=["thick"], zeros="neutral",
    )  # fmt: skip


def _pictures(folder: Path) -> None:
    for index in range(6):
        write_png(folder / ("cat", "dog")[index % 2] / f"{index}.png", torch.rand(1, 8, 8) * 2 - 1)
    Image.new("RGB", (9, 7)).save(folder / "cat" / "a.jpg", exif=Image.Exif())
    Image.new("I;16", (9, 7)).save(folder / "dog" / "b.tif")


def _table(folder: Path) -> None:
    for index in range(4):
        write_png(folder / f"{index}.png", torch.rand(1, 8, 8) * 2 - 1)
    (folder / "labels.csv").write_text("file,label,thick\n" + "".join(f"{i}.png,c{i % 2},{i % 2}\n" for i in range(4)))


def _dataset(folder: Path) -> object:
    data = load_dataset(folder, image_size=8, channels=1)
    return data.split("train").images() if len(data) else None


def _masses(suffix: str, write: Callable[[Path, np.ndarray], object]) -> Reader:
    masses = np.array([0.1, 0.2, 0.4, 0.2, 0.1])
    return Reader(lambda folder: write(folder / f"t{suffix}", masses), lambda folder: read_table(folder / f"t{suffix}"))


def _config(folder: Path) -> None:
    (folder / "c.yaml").write_text("data: digits\nlatent_dim: 4\nbetas: [0.5, 0.9]\nsteps: 3\nprecision: no\n")


def _parsed(folder: Path) -> None:
    """Read a config file, and stop before any work: there is no such device."""
    try:
        _run(
            ["train", "gan", "--config", str(folder / "c.yaml"), "--device=none-of-these", "--out", str(folder / "out")],
            LATENTRY,
        )
    except ValueError as error:
        if "none-of-these" not in str(error):
            raise


READERS: dict[str, Reader] = {
    "json": Reader(
        lambda f: write_json(f / "a.json", {"a": [1, 2.5, None], "b": {"c": "d"}}), lambda f: read_json(f / "a.json")
    ),
    "tensors": Reader(
        lambda f: write_tensors(f / "a.safetensors", {"a": torch.ones(3), "b": torch.zeros(2, 2)}, {"note": "1"}),
        lambda f: (read_tensors(f / "a.safetensors"), read_metadata(f / "a.safetensors")),
    ),
    "model": Reader(lambda f: save_network(f, DCGANGenerator(4, width=1), Normal(4), {"a": 1}), load_network),
    "label split": Reader(_label_split, load_model),
    "semantic model": Reader(_semantic, load_model),
    "inverse": Reader(_inverse, load_inverse),
    "basis": Reader(_basis, load_basis),
    "checkpoint": Reader(_checkpoint, _resume),
    "hashes of a checkpoint": Reader(_checkpoint, _whole),
    "history": Reader(
        _history,
        lambda f: History(f / "h.json").of("step"),
    ),
    "codes": Reader(_codes, load_codes),
    "prior": Reader(lambda f: save_prior(f / "p.json", Tabulated(4, [0.2, 0.6, 0.2])), lambda f: load_prior(f / "p.json")),
    "radial prior": Reader(lambda f: save_prior(f / "p.json", GammaRadius(4)), lambda f: load_prior(f / "p.json")),
    "placement": Reader(
        lambda f: save_prior(f / "p.json", SemanticPlacement(("a", "b"), 4)), lambda f: load_prior(f / "p.json")
    ),
    "table .npy": _masses(".npy", np.save),
    "table .npz": _masses(".npz", lambda path, masses: np.savez_compressed(path, probs=masses, low=-1.0, high=1.0)),
    "table .json": _masses(".json", lambda path, masses: write_json(path, {"probs": masses.tolist(), "low": -1, "high": 1})),
    "table .mat": _masses(".mat", lambda path, masses: scipy.io.savemat(path, {"probs": masses})),
    "table .mat, compressed": _masses(
        ".mat", lambda path, masses: scipy.io.savemat(path, {"probs": masses}, do_compression=True)
    ),
    "data .npz": Reader(_npz, lambda f: load_dataset(f / "x.npz").split("train").images()),
    "IDX": Reader(_idx, _dataset),
    "pictures": Reader(_pictures, _dataset),
    "labels.csv": Reader(_table, _dataset),
    "images": Reader(_pictures, lambda f: load_images([f / "cat" / "0.png", f / "dog" / "b.tif"], image_size=8, channels=1)),
    "config": Reader(_config, _parsed),
}


# -------------------------------------------------------------------------------------------------------------- mutations

_ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 3, 2**31, 2**63, 10**400, -(10**30), 0.5, 1e308, -1e308, "", "x", "NaN", "../..", "\ud800",
    "x" * 5000, [], {}, [None], [[]], {"": 0}, [1e308] * 3, [-1, 2], {"class": "Normal", "arguments": {}}, "torch.load",
)  # fmt: skip


def mutated_bytes(content: bytes, chance: random.Random) -> bytes:
    """A few changes of bytes, wherever."""
    found = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 5, 20))):
        at = chance.randrange(len(found) + 1) if chance.random() < 0.6 else chance.randrange(min(len(found), 200) + 1)
        length = chance.choice((1, 2, 4, 8, 50, 1000))
        kind = chance.randrange(8)
        if kind <= 1 and at < len(found):
            found[at] ^= 1 << chance.randrange(8)
        elif kind == 2:
            found[at : at + length] = chance.randbytes(len(found[at : at + length]))
        elif kind == 3:
            found[at : at + length] = bytes(len(found[at : at + length]))
        elif kind == 4:
            del found[at : at + length]
        elif kind == 5:
            found[at:at] = found[at : at + length]
        elif kind == 6:
            found[at : at + 8] = chance.choice((b"\xff" * 8, struct.pack("<q", 2**62), struct.pack(">q", 2**40)))
        else:
            found = found[:at]
    return bytes(found)


def mutated_json(content: Any, chance: random.Random) -> Any:
    """One value, anywhere, replaced, gone or doubled."""
    if isinstance(content, dict) and content and chance.random() < 0.85:
        name = chance.choice(sorted(content))
        kind = chance.randrange(8)
        if kind == 0:
            return {key: value for key, value in content.items() if key != name}
        if kind == 1:
            return content | {"stranger": content[name]}
        return content | {name: mutated_json(content[name], chance)}
    if isinstance(content, list) and content and chance.random() < 0.8:
        row = chance.randrange(len(content))
        kind = chance.randrange(6)
        if kind == 0:
            return content[:row] + content[row + 1 :]
        if kind == 1:
            return [*content, content[row]]
        return [*content[:row], mutated_json(content[row], chance), *content[row + 1 :]]
    return chance.choice(_ODD)


def mutate(folder: Path, chance: random.Random) -> None:
    """Change one file below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    path = chance.choice(files)
    kind = chance.random()
    if kind < 0.04:
        path.unlink()
        if chance.random() < 0.5:
            path.mkdir()
    elif kind < 0.06 and path.parent != folder:
        shutil.rmtree(path.parent)
        path.parent.write_bytes(b"x")
    elif kind < 0.08:
        path.write_bytes(chance.choice(files).read_bytes())
    elif kind < 0.09 and path.suffix == ".json":
        path.write_text("[" * 50_000)
    elif kind < 0.6 and path.suffix == ".json":
        content = mutated_json(json.loads(path.read_text()), chance)
        path.write_text(json.dumps(content), encoding="utf-8", errors="surrogatepass")
    elif kind < 0.6 and path.suffix == ".safetensors":
        whole = path.read_bytes()
        size = int.from_bytes(whole[:8], "little")
        header = json.dumps(mutated_json(json.loads(whole[8 : 8 + size]), chance)).encode()
        path.write_bytes(len(header).to_bytes(8, "little") + header + whole[8 + size :])
    else:
        path.write_bytes(mutated_bytes(path.read_bytes(), chance))


# ------------------------------------------------------------------------------------------------------------- the reading


def failures(name: str, reader: Reader, place: Path, seed: int, mutations: int) -> list[str]:
    """What went wrong, other than a ValueError, over so many mutations."""
    whole = place / "whole"
    shutil.rmtree(place, ignore_errors=True)
    whole.mkdir(parents=True)
    reader.make(whole)
    if found := _read_in_a_fork(name, reader, place, [None]):
        return [f"{name}, unchanged: {found[0][1]}"]
    numbers: list[int | None] = [*range(seed * 1_000_000, seed * 1_000_000 + mutations)]
    wrong: list[str] = []
    while numbers:
        part, numbers = numbers[:_AT_ONCE], numbers[_AT_ONCE:]
        for number, what in _read_in_a_fork(name, reader, place, part):
            wrong.append(f"{name}, mutation {number}: {what}")
            if what.startswith("the process"):  # what came after it is still to be read
                numbers = part[part.index(number) + 1 :] + numbers
    return wrong


def _read_in_a_fork(name: str, reader: Reader, place: Path, numbers: list[int | None]) -> list[tuple[int | None, str]]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            with os.fdopen(writing, "w", buffering=1) as told:
                _read_all(name, reader, place, numbers, told)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        lines = [json.loads(line) for line in told.read().splitlines()]
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    wrong = [(number, what) for number, what in lines if what not in ("begun", "done")]
    if not lines or lines[-1][1] != "done":
        last = lines[-1][0] if lines else numbers[0]
        reason = "took too long" if code == -signal.SIGALRM else f"ended with code {code}"
        wrong.append((last, f"the process {reason}"))
    return wrong


def _read_all(name: str, reader: Reader, place: Path, numbers: list[int | None], told: Any) -> None:
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123  # what libraries of C print of broken files
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    pages = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (pages + _MEMORY, pages + _MEMORY))
    warnings.simplefilter("error")
    for number in numbers:
        changed = place / "changed"
        shutil.rmtree(changed, ignore_errors=True)
        shutil.copytree(place / "whole", changed)
        if number is not None:
            mutate(changed, random.Random(f"{name} {number}"))
        told.write(json.dumps([number, "begun"]) + "\n")
        signal.alarm(_SECONDS)
        try:
            reader.read(changed)
        except _FINE as error:
            if number is None:
                told.write(json.dumps([number, str(error)]) + "\n")
        except BaseException as error:
            where = traceback.extract_tb(error.__traceback__)
            ours = [frame for frame in where if "latentry" in frame.filename] or where
            told.write(
                json.dumps([number, f"{type(error).__name__}: {str(error)[:200]} ({ours[-1].filename}:{ours[-1].lineno})"])
            )
            told.write("\n")
        signal.alarm(0)
    told.write(json.dumps([None, "done"]) + "\n")


def main() -> int:
    """Mutate until the number or the minutes are over; 1 if anything but a ValueError came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readers", nargs="*", help="all of them by default")
    parser.add_argument("--mutations", type=int, default=40, help="of each reader in a round")
    parser.add_argument("--minutes", type=float, default=0.0, help="how long to go on with further rounds")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first round; each has the next one")
    asked = parser.parse_args()

    torch.set_num_threads(1)
    ends, seed, count, wrong = time.monotonic() + 60 * asked.minutes, asked.seed, 0, []
    chosen = {name: reader for name, reader in READERS.items() if not asked.readers or name in asked.readers}
    with tempfile.TemporaryDirectory() as temporary:
        while seed == asked.seed or time.monotonic() < ends:
            for name, reader in chosen.items():
                found = failures(name, reader, Path(temporary) / name.replace(" ", "-"), seed, asked.mutations)
                wrong += found
                count += asked.mutations
                for line in found:
                    print(line, flush=True)
            seed += 1
    by_reader = dict(Counter(line.split(", mutation")[0] for line in wrong))
    print(f"{count} mutations over {len(chosen)} readers: {len(wrong)} failures {by_reader or ''}".rstrip())
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
