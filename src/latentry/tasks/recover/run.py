"""`latentry recover`: the codes of the user's own images, and whether they could have come from the prior.

The images go through in shards (`tasks.recover.shards`); before them, a few of the generator's own, whose codes are known,
so that the user learns what success to expect, and what an image looks like that the generator did make.
"""

import time
from dataclasses import replace
from typing import Any

from latentry.names import counted
from latentry.priors import SavedPrior
from latentry.reports.progress import progress_bar
from latentry.reports.tables import print_table
from latentry.tasks.coding.codes import data_facts
from latentry.tasks.evaluation_classifier import reconstruction_doubts
from latentry.tasks.loading import chosen_generator, prior_notes
from latentry.tasks.recover.options import data_shape, measurement, recovery_options, shard_facts, start_from
from latentry.tasks.recover.report import SHOWN, SelfCheck, recovery_summary, self_check, write_report
from latentry.tasks.recover.settings import RecoverSettings
from latentry.tasks.recover.shards import (
    ImageSource,
    ShardRecovery,
    checked_images,
    own_images,
    recover_shards,
    source_images,
)
from latentry.tasks.runs import Run, command

__all__ = ["recover"]

_CODES, _OWN = "codes", "self-check"


@command("index.html", _CODES, _OWN, shared=True)
def recover(settings: RecoverSettings, run: Run) -> dict[str, Any]:
    """Write `codes/`, `self-check/`, `index.html` and `results.json`; print a row for each of the first images and shares.

    Under `accelerate launch` each process takes its share of the work, and the main one sums up.
    """
    model, prior = chosen_generator(settings)
    generator = model.generator.to(run.device)
    seen = measurement(settings.downsample, settings.mask, data_shape(generator, prior))
    source = ImageSource(settings.images, settings.data, settings.split)
    images = checked_images(source_images(source, seen), settings.shard_size)
    start = start_from(settings.inverse, generator, prior, seen)
    notes = (*images.notes, *seen.notes, *prior_notes(model))
    work = ShardRecovery(
        generator,
        prior,
        recovery_options(settings, prior.latent_dim, seen, start),
        shard_facts(settings, model.fingerprint, prior, seen, start),
        settings.shard_size,
        settings.seed,
    )
    console, folder = run.console, run.folder

    check: SelfCheck | None = None
    if settings.self_check:
        own, z = own_images(settings.self_check, generator, prior, seen, run.other_rng())
        title = f"recovering {counted(own.count, 'image')} of the generator's own"
        with progress_bar(quiet=run.quiet) as track:
            recover_shards(own, work, folder / _OWN, run.processes, track(title))
        check = self_check(folder / _OWN, z, prior)
        for sentence in check.sentences:
            console.print(sentence)
    whole, began = not any((folder / _CODES).glob("*")), time.perf_counter()
    with progress_bar(quiet=run.quiet) as track:
        recover_shards(images, work, folder / _CODES, run.processes, track(f"recovering {counted(images.count, 'code')}"))
    seconds = run.processes.count * (time.perf_counter() - began) / images.count
    if not run.is_main:
        return {}

    found = recovery_summary(folder / _CODES, images.count, prior, check)
    x = seen.for_display(images.read(range(min(SHOWN, images.count))))
    doubts = reconstruction_doubts(x, found.numbers["reconstruction_error"][: len(x)])
    found = replace(found, doubts=doubts, seconds=seconds if whole else None)
    facts = [
        *_facts(settings, prior, model.fingerprint, found.numbers["reconstruction_error"].nanmean().item()),
        *data_facts(notes),
    ]
    write_report(folder / "index.html", found, x, generator, prior, facts)
    content = run.record(
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
        (
            "starts",
            f"{settings.restarts or '24 or, side by side, 4'} at most, the first one from {settings.inverse or 'the prior'}",
        ),
        ("regularizer", regularizer),
        ("difference", f"{settings.difference}, mask {settings.mask or 'none'}, downsampled {settings.downsample} times"),
        ("seed", str(settings.seed)),
    ]
