"""Kill every training, and `recover`, at random file-system calls, until the command comes to its end: nothing may show.

    python scripts/kill_trainings.py --rounds 2            # every verb twice: half a minute
    python scripts/kill_trainings.py --minutes 60 --seed 7

Each verb runs once undisturbed, at the smallest size. Then it runs in forked processes that end without a goodbye, as by
SIGKILL, just before or just after a file-system call drawn at random, again and again, until one run comes to its end. The
folder then has to hold the same files with the same bytes, but for seconds, and no other ones. The first difference ends the
command with exit code 1; verb, seed and kills are printed, and `--seed` repeats it.
"""

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from latentry.models.pretrained import save_network
from latentry.models.settings import SemanticGANSettings, SemanticVAESettings
from latentry.networks import DCGANGenerator
from latentry.priors import Normal
from latentry.reports.pictures import write_png
from latentry.tasks.recover.run import recover
from latentry.tasks.recover.settings import RecoverSettings
from latentry.tasks.settings import CommonSettings
from latentry.tasks.train import train_classifier, train_gan
from latentry.tasks.train_encoder import train_encoder
from latentry.tasks.train_inverse import train_inverse
from latentry.tasks.train_label_split import train_label_split
from latentry.tasks.train_semantic import train_semantic
from latentry.tasks.train_settings import (
    TrainClassifierSettings,
    TrainEncoderSettings,
    TrainGANSettings,
    TrainInverseSettings,
    TrainLabelSplitSettings,
    TrainSemanticSettings,
)

KILLED = 137
_CALLS = ("replace", "rename", "open", "fsync", "mkdir", "unlink", "rmdir")

Run = tuple[Callable[[Any], Any], CommonSettings]


def commands(place: Path) -> dict[str, Run]:
    """Every training, and `recover`, at the smallest size; what they read lies in a folder."""
    rng = np.random.default_rng(0)
    data = str(place / "toys.npz")
    attributes = rng.integers(-1, 2, (60, 1))
    np.savez(
        data, x=rng.integers(0, 256, (60, 28, 28), dtype=np.uint8), y=np.arange(60) % 2, attributes=attributes,
        attribute_names=["thick"], zeros="neutral",
    )  # fmt: skip
    torch.manual_seed(0)
    generator = str(place / "generator")
    save_network(generator, DCGANGenerator(4, width=2).eval(), Normal(4), {})
    for index in range(5):
        write_png(place / "images" / f"{index}.png", torch.rand(1, 28, 28) * 2 - 1)
    common: dict[str, Any] = {"out": str(place / "out"), "device": "cpu", "json": True}
    loop: dict[str, Any] = {"steps": 4, "batch_size": 8, "checkpoint_every": 2, "checkpoint_seconds": 0.0}
    return {
        "gan": (
            train_gan,
            TrainGANSettings(data=data, width=2, discriminator_width=2, latent_dim=4, **loop, **common),
        ),
        "classifier": (train_classifier, TrainClassifierSettings(data=data, width=2, **loop, **common)),
        "label-split": (
            train_label_split,
            TrainLabelSplitSettings(data=data, width=2, label_dim=2, style_dim=3, flow_steps=4, gan=True, **loop, **common),
        ),
        "semantic": (
            train_semantic,
            TrainSemanticSettings(
                data=data,
                width=2,
                latent_dim=5,
                vae=SemanticVAESettings(**loop),
                gan=SemanticGANSettings(**{**loop, "steps": 3}),
                **common,
            ),
        ),
        "inverse": (
            train_inverse,
            TrainInverseSettings(generator=generator, steps=4, batch_size=4, width=2, checkpoint_every=2, **common),
        ),
        "encoder": (
            train_encoder,
            TrainEncoderSettings(
                generator=generator,
                data=data,
                classifier=None,
                steps=4,
                batch_size=4,
                width=2,
                checkpoint_every=2,
                **common,
            ),
        ),
        "recover": (
            recover,
            RecoverSettings(
                images=[str(place / "images")],
                generator=generator,
                solver="adam",
                steps=3,
                restarts=2,
                self_check=2,
                shard_size=2,
                **common,
            ),
        ),
    }


def in_a_fork(run: Run, kill_at: int | None, after: bool) -> tuple[int, int]:
    """Exit code of a command in a process of its own, and how many file-system calls it made; it dies at one of them."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        with open(os.devnull, "w") as nowhere:  # noqa: PTH123  # `open` is not counted yet
            os.dup2(nowhere.fileno(), 1)
        code, calls = 1, [0]
        try:
            _count(calls, kill_at, after)
            run[0](run[1])
            code = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os.write(writer, str(calls[0]).encode())
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader) as told:
        calls_made = int(told.read() or 0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), calls_made


def _count(calls: list[int], kill_at: int | None, after: bool) -> None:
    """From here on file-system calls are counted, and one of them is the last thing that this process does."""

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*arguments: Any, **options: Any) -> Any:
            calls[0] += 1
            last = calls[0] == kill_at
            if last and not after:
                os._exit(KILLED)
            done = call(*arguments, **options)
            if last:
                os._exit(KILLED)
            return done

        return counting

    for name in _CALLS:
        setattr(os, name, counted(getattr(os, name)))


def contents(folder: Path) -> dict[str, bytes]:
    """What lies in a folder, without seconds."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "index.html"]  # tells seconds
    return {str(path.relative_to(folder)): _timeless(path) for path in files}


def _timeless(path: Path) -> bytes:
    if path.suffix != ".json" or path.name == "state.json":
        return path.read_bytes()
    return json.dumps(_without_seconds(json.loads(path.read_text()))).encode()


def _without_seconds(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _without_seconds(value) for name, value in content.items() if name != "seconds"}
    return [_without_seconds(value) for value in content] if isinstance(content, list) else content


def kill_and_compare(run: Run, whole: dict[str, bytes], calls: int, chance: random.Random, most: int) -> str | None:
    """Kill a command until it comes to its end; what is wrong then, if anything."""
    out = Path(run[1].out)
    shutil.rmtree(out, ignore_errors=True)
    kills: list[tuple[int, bool]] = []
    while True:
        kill = (chance.randint(1, calls), chance.random() < 0.5) if len(kills) < most else (None, False)
        code, _ = in_a_fork(run, *kill)
        if code == 0:
            break
        if code != KILLED or kill[0] is None:
            return f"exit code {code} after kills at {kills}"
        kills.append((kill[0], kill[1]))
    found = contents(out)
    differing = sorted(name for name in {*whole, *found} if whole.get(name) != found.get(name))
    return f"other files after kills at {kills}: {', '.join(differing)}" if differing else None


def main() -> int:
    """Run until the rounds or the minutes are over; 1 at the first difference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--verbs", nargs="*", help="all of them by default")
    parser.add_argument("--rounds", type=int, default=1, help="rounds over all verbs, at least")
    parser.add_argument("--minutes", type=float, default=0.0, help="how long to go on with further rounds")
    parser.add_argument("--kills", type=int, default=6, help="most kills of one command, before it may come to its end")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first round; each has the next one")
    asked = parser.parse_args()

    torch.set_num_threads(1)
    ends, rounds = time.monotonic() + 60 * asked.minutes, 0
    with tempfile.TemporaryDirectory() as temporary:
        runs = {name: run for name, run in commands(Path(temporary)).items() if not asked.verbs or name in asked.verbs}
        undisturbed = {}
        for name, run in runs.items():
            code, calls = in_a_fork(run, None, False)
            if code:
                print(f"{name}: exit code {code} undisturbed")
                return 1
            undisturbed[name] = contents(Path(run[1].out)), calls
            shutil.rmtree(run[1].out)
        while rounds < asked.rounds or time.monotonic() < ends:
            for name, run in runs.items():
                wrong = kill_and_compare(
                    run, *undisturbed[name], random.Random(f"{name} {asked.seed + rounds}"), asked.kills
                )
                if wrong is not None:
                    print(f"{name}, seed {asked.seed + rounds}: {wrong}")
                    return 1
            rounds += 1
    print(f"{rounds} rounds over {', '.join(runs)}: every run ended as if it had not been killed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
