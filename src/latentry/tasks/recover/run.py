"""`latentry recover`: the codes of the user's own images, and whether they could have come from the prior.

The images go through in shards (`tasks.recover.shards`); before them, a few of the generator's own, whose codes are known,
so that the user learns what success to expect, and what an image looks like that the generator did make.
"""

import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate.state import PartialState

from latentry.names import counted
from latentry.priors import SavedPrior
from latentry.reports.consoles import PlainConsole
from latentry.reports.progress import progress_bar
from latentry.reports.tables import print_table
from latentry.tasks.coding.codes import noted
from latentry.tasks.judging import unmade
from latentry.tasks.recover.options import image_format, measurement, start_from
from latentry.tasks.recover.report import SHOWN, SelfCheck, findings, self_check, write_report
from latentry.tasks.recover.settings import RecoverSettings
from latentry.tasks.recover.shards import Processes, Recovering, given_images, looked_through, own_images, recover_shards
from latentry.tasks.runs import claim_folder, command, load_any_generator, named_prior, out_folder, pick_device, record
from latentry.tasks.settings import refuse_unused

__all__ = ["recover"]

_CODES, _OWN = "codes", "self-check"
_PATIENCE = timedelta(days=30)
"""How long a process waits for the shards of the others."""


@command
def recover(settings: RecoverSettings) -> dict[str, Any]:
    """Write `codes/`, `self-check/`, `index.html` and `results.json`; print a row for each of the first images and shares.

    Under `accelerate launch` each process takes its share of the work, and the first one sums up.
    """
    _refuse_idle(settings)
    device, processes = _place(settings)
    model, prior = load_any_generator(settings.generator)
    if settings.prior is not None:
        prior = named_prior(settings.prior, prior.latent_dim)
    generator = model.generator.to(device)
    seen = measurement(settings, *image_format(generator, prior))
    images = looked_through(given_images(settings, seen), settings.shard_size)
    start = start_from(settings, generator, prior, seen)
    notes = (*images.notes, *seen.notes)
    work = Recovering.by(settings, generator, prior, seen, start, model.fingerprint)
    folder = _claim(processes, settings)
    quiet = settings.json or processes.index > 0
    console = PlainConsole(quiet=quiet)

    check: SelfCheck | None = None
    if settings.self_check:
        own, z = own_images(settings, generator, prior, seen)
        told = f"recovering {counted(own.count, 'image')} of the generator's own"
        with progress_bar(quiet=quiet) as track:
            recover_shards(own, work, folder / _OWN, processes, track(told))
        check = self_check(folder / _OWN, z, prior)
        for sentence in check.sentences:
            console.print(sentence)
    whole, began = not any((folder / _CODES).glob("*")), time.perf_counter()
    with progress_bar(quiet=quiet) as track:
        recover_shards(images, work, folder / _CODES, processes, track(f"recovering {counted(images.count, 'code')}"))
    seconds = processes.count * (time.perf_counter() - began) / images.count
    if processes.index > 0:
        return {}

    found = findings(folder / _CODES, images.count, prior, check)
    x = seen.shown(images.read(range(min(SHOWN, images.count))))
    doubts = unmade(x, found.numbers["reconstruction_error"][: len(x)])
    found = replace(found, doubts=doubts, seconds=seconds if whole else None)
    facts = [
        *_facts(settings, prior, model.fingerprint, found.numbers["reconstruction_error"].nanmean().item()),
        *noted(notes),
    ]
    write_report(folder / "index.html", found, x, generator, prior, facts)
    content = record(
        folder,
        settings,
        {
            "images": found.records(),
            **found.summary(),
            "generator": model.fingerprint,
            "prior": repr(prior),
            "notes": [*notes],
        },
    )
    for note in notes:
        console.print(note)
    print_table(found.table(), console)
    print_table(found.success_table(), console)
    console.print(found.sentences[-1])
    console.print(f"Codes and report: {folder}")
    return content


def _refuse_idle(settings: RecoverSettings) -> None:
    """Refuse numbers that nothing would read."""
    if settings.regularizer == "none":
        refuse_unused(settings, ["weight"], "a --regularizer, such as l2,")
    if settings.resampling == "none":
        refuse_unused(settings, ["resampling_bound"], "a --resampling, such as boundary, and --solver adam")


def _place(settings: RecoverSettings) -> tuple[torch.device, Processes]:
    """Where to compute, and which of several processes this is."""
    device = pick_device(settings.device)
    state: Any = PartialState(cpu=device.type == "cpu", timeout=_PATIENCE)
    if settings.device == "auto" and device.type == "cuda" and state.num_processes > 1:
        device = state.device
    return device, Processes(state.process_index, state.num_processes, state.wait_for_everyone)


def _claim(processes: Processes, settings: RecoverSettings) -> Path:
    """The folder for results; the first process has it before the others go on."""
    if processes.index == 0:
        claim_folder(settings, "index.html", _CODES, _OWN)
    processes.wait()
    return out_folder(settings)


def _facts(settings: RecoverSettings, prior: SavedPrior, weights: str, error: float) -> list[tuple[str, str]]:
    regularizer = (
        settings.regularizer
        if settings.regularizer == "none"
        else (f"{settings.regularizer}, weight {settings.weight:g}; mean pixel MSE with it {error:.4g}")
    )
    return [
        ("generator", f"{settings.generator}, weights {weights}"),
        ("prior", repr(prior)),
        ("solver", settings.solver + ("" if settings.steps is None else f", {settings.steps} steps")),
        ("starts", f"{settings.restarts} at most, the first one from {settings.inverse or 'the prior'}"),
        ("regularizer", regularizer),
        ("difference", f"{settings.difference}, mask {settings.mask or 'none'}, downsampled {settings.downsample} times"),
        ("seed", str(settings.seed)),
    ]
