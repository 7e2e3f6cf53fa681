"""Recovery against the ways of others, in one run: pixel error, known codes found, evaluations, seconds and memory.

    python benchmarks/against_peers.py --quick                   # a rehearsal, half a minute beside the training
    python benchmarks/against_peers.py --out evidence/peers      # all of it; go on where it ended

Generators are trained first, in plain PyTorch, a minute of one core each (`peer_generators.py`). Then codes are found by
`recover_codes` as it is and by every method of `peer_methods.py`: of images that the generator made of known codes, and of
held-out data, which no code makes. Each peer has as many evaluations as `recover_codes` spent on the same data, in four
starts where it has any (`equal`), and then the settings it has by itself (`own`). Settings of 25 to 200 are those of L-BFGS
alone, ours and torch's, with so many gradients for each start. An evaluation is a forward pass; a gradient counts as two
more.

A cell is one generator, one kind of data and one peer. It runs peer and `recover_codes` in turn, each in a process of its
own, so that their seconds are a pair and their memory is their own; takes some minutes at most; and is kept as a file under
`--out`. What is there is not run again. Seconds are those of the processor. Memory is the most that the process held beyond
what it held at the start.

deepinv and cma are needed for their rows alone: `pip install --no-deps deepinv cma`, and what deepinv asks for.
"""

import argparse
import contextlib
import csv
import itertools
import math
import multiprocessing
import platform
import subprocess
import time
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch
from peer_generators import KINDS, Subject, subject
from peer_methods import CURVE, OURS, PEERS, Method, Task

from latentry.models.pretrained import installed_versions
from latentry.reports.tables import Table, print_table
from latentry.storage import read_json, write_json, write_text

FOUND = 0.01
STARTS = 4
DATA = ("known", "held-out")


@dataclass(frozen=True)
class Cell:
    """One peer on one generator and one kind of data."""

    generator: str
    data: str
    peer: Method
    settings: str
    """`equal`, `own`, or gradients of each start."""

    @property
    def name(self) -> str:
        return f"{self.generator}--{self.data}--{self.peer.key}--{self.settings}"

    def budget(self, evaluations: float) -> int | None:
        """Evaluations of one datum, given those of `recover_codes`."""
        if self.settings == "own":
            return None
        return round(evaluations) if self.settings == "equal" else 3 * STARTS * int(self.settings)


def cells(quick: bool) -> list[Cell]:
    """All of them, or those of the rehearsal."""
    known_peers = [peer for peer in PEERS if peer.needs is None or find_spec(peer.needs)]
    if quick:
        return [Cell("signal", data, peer, "equal") for data in DATA for peer in known_peers]
    compared = [
        Cell(generator, data, peer, settings)
        for generator, data, peer, settings in itertools.product(KINDS, DATA, known_peers, ("equal", "own"))
    ]
    curve = [
        Cell(generator, "held-out", peer, str(gradients))
        for generator, peer, gradients in itertools.product(KINDS, CURVE, (25, 50, 100, 200))
    ]
    return compared + curve


def task_of(of: Subject, data: str, count: int) -> tuple[Task, torch.Tensor | None]:
    """Data, starts, and their codes where these are known."""
    rng = torch.Generator().manual_seed(7)
    z = of.prior.sample((count,), rng=rng)
    starts = of.prior.sample((count, STARTS), rng=rng)
    x = of.generator(z) if data == "known" else of.held_out[:count]
    return Task(of.generator, of.prior, x, starts), z if data == "known" else None


def measured(method: Method, of: Subject, data: str, count: int, budget: int | None) -> dict[str, Any]:
    """What a method finds, in a process of its own."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(sender, method, of, data, count, budget))
    process.start()
    sender.close()
    try:
        answer: dict[str, Any] = receiver.recv()
    except EOFError:
        raise RuntimeError(f"{method.name} ended without an answer; see what it printed above") from None
    finally:
        process.join()
    return answer


def _measure(sender: Connection, method: Method, of: Subject, data: str, count: int, budget: int | None) -> None:
    task, z = task_of(of, data, count)
    held = _reset_peak()
    began = time.process_time()
    z_hat, evaluations = method.find(task, budget)
    seconds = time.process_time() - began
    peak = _status("VmHWM") - held
    with torch.no_grad():
        error = (of.generator(z_hat) - task.x).square().flatten(1).mean(1)
    answer: dict[str, Any] = {
        "pixel_error": error.double().nan_to_num(nan=math.inf).tolist(),
        "evaluations": evaluations,
        "cpu_seconds": seconds / count,
        "peak_mib": peak / 1024,
    }
    if z is not None:
        variance = of.prior.sample((10_000,), rng=torch.Generator().manual_seed(0)).var(0).mean()
        answer["code_error"] = ((z_hat - z).square().mean(1) / variance).tolist()
    sender.send(answer)


def _reset_peak() -> int:
    """Memory held now, in KiB, from which the peak is counted; Linux alone tells."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _status(name: str) -> int:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def run(cell: Cell, of: Subject, count: int) -> dict[str, Any]:
    """`recover_codes` and the peer, in turn."""
    ours = measured(OURS, of, cell.data, count, None)
    theirs = measured(cell.peer, of, cell.data, count, cell.budget(ours["evaluations"]))
    return {"ours": ours, "peer": theirs}


def provenance() -> dict[str, Any]:
    """With what figures are made."""
    git = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    processors = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "commit": git.stdout.strip() or None,
        "versions": installed_versions(),
        "threads": torch.get_num_threads(),
        "processor": processors[0] if processors else platform.processor(),
    }


def estimated_seconds(cell: Cell, of: Subject, count: int) -> float:
    """By the time of one gradient of the generator."""
    z = of.prior.sample((1,)).requires_grad_(True)
    of.generator(z).sum().backward()
    began = time.process_time()
    for _ in range(5):
        of.generator(z).sum().backward()
    gradient = (time.process_time() - began) / 5
    gradients = {"equal": 300, "own": cell.peer.own_gradients}.get(cell.settings) or STARTS * int(cell.settings)
    return count * gradient * (200 + 1.5 * gradients)


def row(result: dict[str, Any]) -> dict[str, float]:
    """Numbers of a cell."""
    ours, peer = result["ours"], result["peer"]
    numbers = {
        "error_over_ours": mean(peer["pixel_error"]) / max(mean(ours["pixel_error"]), 1e-30),
        "seconds_over_ours": peer["cpu_seconds"] / ours["cpu_seconds"],
        "evaluations_over_ours": peer["evaluations"] / ours["evaluations"],
    }
    for who, found in (("peer", peer), ("ours", ours)):
        numbers |= {
            f"{who}_mean_pixel_error": mean(found["pixel_error"]),
            f"{who}_median_pixel_error": median(found["pixel_error"]),
            f"{who}_evaluations": found["evaluations"],
            f"{who}_cpu_seconds": found["cpu_seconds"],
            f"{who}_peak_mib": found["peak_mib"],
        }
        if "code_error" in found:
            numbers[f"{who}_share_found"] = mean(error < FOUND for error in found["code_error"])
    return numbers


def tables(rows: dict[Cell, dict[str, float]]) -> list[Table]:
    """One for each kind of question, with the rows where a peer does best beside ours first."""
    made = []
    curve = {cell: numbers for cell, numbers in rows.items() if cell.settings.isdigit()}
    compared = {cell: numbers for cell, numbers in rows.items() if not cell.settings.isdigit()}
    for data, title in (("held-out", "Held-out data, which no code makes"), ("known", "Known codes")):
        known = data == "known"
        chosen = [(cell, numbers) for cell, numbers in compared.items() if cell.data == data]
        chosen.sort(key=lambda one: _lead(one[1]))
        if chosen:
            made.append(_table(title, chosen, known))
    if curve:
        chosen = sorted(curve.items(), key=lambda one: one[1]["error_over_ours"])
        made.append(_table(f"L-BFGS alone on held-out data, by gradients of each of {STARTS} starts", chosen, known=False))
    return made


def _lead(numbers: dict[str, float]) -> tuple[float, float]:
    """How far `recover_codes` is ahead: in codes found, then in pixel error."""
    return numbers.get("ours_share_found", 0.0) - numbers.get("peer_share_found", 0.0), numbers["error_over_ours"]


def _table(title: str, rows: list[tuple[Cell, dict[str, float]]], known: bool) -> Table:
    columns = ("generator", "method", "settings", "data", *(("found", "ours") if known else ()))
    columns = (*columns, "mean pixel error", "ours", "evaluations", "ours", "CPU s", "over ours", "peak MiB", "ours")
    lines = []
    for cell, of in rows:
        found = (f"{of['peer_share_found']:.0%}", f"{of['ours_share_found']:.0%}") if known else ()
        lines.append(
            (
                cell.generator, cell.peer.name, cell.settings, f"{of['count']}", *found,
                f"{of['peer_mean_pixel_error']:.3g}", f"{of['ours_mean_pixel_error']:.3g}",
                f"{of['peer_evaluations']:,.0f}", f"{of['ours_evaluations']:,.0f}",
                f"{of['peer_cpu_seconds']:.2g}", f"{of['seconds_over_ours']:.2g}",
                f"{of['peer_peak_mib']:.0f}", f"{of['ours_peak_mib']:.0f}",
            )
        )  # fmt: skip
    return Table(title, columns, tuple(lines))


def markdown(table: Table) -> str:
    """The table as Markdown."""
    lines = [table.columns, ("---",) * len(table.columns), *table.rows]
    return f"## {table.title}\n\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one generator and equal evaluations, three data")
    parser.add_argument("--count", type=int, default=8, help="data of each kind")
    parser.add_argument("--own-count", type=int, default=2, help="data where peers have their own settings, which are slow")
    parser.add_argument("--only", default="", help="cells whose name has this in it")
    parser.add_argument("--tables", action="store_true", help="run nothing: make the tables of the cells that are there")
    parser.add_argument("--work", type=Path, default=Path("runs/peers"), help="where trained generators lie")
    parser.add_argument("--fashion", default="fashion-mnist", help="Fashion-MNIST: the name, or a folder of its IDX files")
    parser.add_argument("--out", type=Path, help="folder of cells, results.csv and tables.md")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    wanted = [cell for cell in cells(arguments.quick) if arguments.only in cell.name]
    kept = {cell: None if arguments.out is None else arguments.out / "cells" / f"{cell.name}.json" for cell in wanted}
    to_do = [] if arguments.tables else [cell for cell, path in kept.items() if path is None or not path.exists()]
    names = dict.fromkeys(cell.generator for cell in to_do)
    subjects = {name: subject(name, arguments.work, arguments.fashion) for name in names}
    for peer in PEERS:
        if peer.needs and not find_spec(peer.needs):
            print(f"left out: {peer.name}, as {peer.needs} is not installed")

    def count(cell: Cell) -> int:
        return 3 if arguments.quick else arguments.own_count if cell.settings == "own" else arguments.count

    minutes = sum(estimated_seconds(cell, subjects[cell.generator], count(cell)) for cell in to_do) / 60
    print(f"{len(to_do)} cells to run, about {minutes:.0f} minutes of one core", flush=True)

    rows = {}
    for cell, path in kept.items():
        if cell in to_do:
            began = time.perf_counter()
            settings = {"count": count(cell), "starts": STARTS}
            record = {"settings": settings, **provenance(), "result": run(cell, subjects[cell.generator], count(cell))}
            print(f"{cell.name}: {time.perf_counter() - began:.0f} s", flush=True)
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_json(path, record)
        elif path is not None and path.exists():
            record = read_json(path)
        else:
            continue
        rows[cell] = row(record["result"]) | {"count": record["settings"]["count"]}
    made = tables(rows)
    for table in made:
        last = len(table.columns)
        print_table(table.only(0, 1, 2, *range(4, last - 2)))
    if arguments.out:
        write_text(arguments.out / "tables.md", "\n".join(markdown(table) for table in made))
        with (arguments.out / "results.csv").open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("generator", "data", "method", "settings", "measure", "value"))
            for cell, numbers in rows.items():
                key = (cell.generator, cell.data, cell.peer.name, cell.settings)
                writer.writerows((*key, measure, f"{value:.6g}") for measure, value in numbers.items())


if __name__ == "__main__":
    main()
