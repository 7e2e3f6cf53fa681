"""`python -m experiments priors`: what does a prior cost at the prior, and what between codes? The table of Singh et al.

Generators that differ in nothing but their prior are trained on equal terms: network, steps, order of the data, seeds. Each
is evaluated at its prior and at interpolated codes, along the straight line and along the transported one.

Reference: Singh, Turaga, Jayasuriya, Garg, Braun, "Non-parametric priors for generative adversarial networks", 2019.
"""

from typing import Any

from experiments.framework.cell import Place
from experiments.framework.results import measured
from experiments.framework.run import PARTS, Report, begin, check_counts, check_known
from experiments.priors.cells import DESIGNS, PART, TABLE, TRADE_OFF, PriorCell, fingerprint, kept_priors
from experiments.priors.settings import PriorsSettings
from experiments.priors.tables import BASELINE, priors_table, steps_of, verdict
from latentry.reports.figures import step_figure, trade_off_figure
from latentry.tasks.runs import Run, command

__all__ = ["cells", "run"]


@command(*PARTS, "priors")
def run(settings: PriorsSettings, current: Run) -> dict[str, Any]:
    """Work out what is missing; write and print the results."""
    check_counts("extractor", data=settings.data, extractors=settings.extractors)
    check_known("priors", settings.priors, _rows(settings, every=True))
    experiment = begin(settings, current)
    made = cells(settings, experiment.place)
    table, _ = experiment.results([made])

    found, step = measured(table, PART), f"{settings.t[0]:g}"
    last = found[made[-1].row.data]
    curves = {
        data: {
            name: {0.0: 1.0} | {float(t): row.value(f"lerp.{t}.frechet_ratio") for t in steps_of(row)}
            for name, row in rows.items()
        }
        for data, rows in found.items()
    }
    points = {
        name: (row["prior.frechet_distance"][settings.seed], row[f"lerp.{step}.frechet_distance"][settings.seed])
        for name, row in (last | measured(table, TRADE_OFF).get(made[-1].row.data, {})).items()
    }
    return experiment.finish(
        Report(
            title="Priors at the prior and between codes",
            lead="Generators that differ in nothing but the prior of their codes, measured at the prior and between codes.",
            verdicts=[verdict(data, rows) for data, rows in found.items()],
            blocks=[
                *(priors_table(data, rows) for data, rows in found.items()),
                experiment.chart(
                    "ratio-by-step",
                    "The price of the straight line",
                    step_figure(curves, "Frechet distance, ratio to that at the prior"),
                    "Straight lines between two codes. Grey: within 10 %.",
                ),
                experiment.chart(
                    "trade-off",
                    f"What a design costs at the prior, and what it gains at t = {step}",
                    trade_off_figure(points, "Frechet distance at the prior", f"at t = {step} on the straight line"),
                    f"{made[-1].row.data}, one seed. On the dashed line nothing is lost between codes.",
                ),
                *(
                    picture
                    for cell in made
                    if cell.seed == settings.seed
                    for picture in experiment.pictures(cell.name, f"{cell.row.data}: {cell.prior}", _CAPTION)
                ),
            ],
            console=[priors_table(data, rows, short=True) for data, rows in found.items()],
            facts=[
                ("network", f"DCGAN, width {settings.width}, {settings.latent_dim} latents"),
                ("training", f"{settings.steps} iterations of {settings.batch_size} images, {settings.seeds} seeds"),
                ("evaluated by", ", ".join(settings.extractors)),
                ("samples", f"{settings.count} a row"),
            ],
        )
    )


_CAPTION = "A straight line goes from one code of the prior to another."


def _rows(settings: PriorsSettings, *, every: bool = False) -> list[str]:
    """Priors of the table."""
    absent = "authors-problem" if settings.published else "published"
    chosen = {BASELINE, *settings.priors} if settings.priors and not every else {*TABLE}
    return [name for name in TABLE if name in chosen and name != absent]


def cells(settings: PriorsSettings, place: Place) -> list[PriorCell]:
    """Seed by seed, so that a run that is stopped early has compared all priors; the trade-off last, on the last data."""
    rows, designs = _rows(settings), [*DESIGNS] if settings.trade_off else []
    priors = kept_priors([*rows, *designs], settings, place)
    sets = list(zip(settings.data, settings.extractors, strict=True))
    seeds = range(settings.seed, settings.seed + settings.seeds)
    trained = [(*source, name, seed) for seed in seeds for source in sets for name in rows]
    trained += [(*sets[-1], name, settings.seed) for name in designs]
    return [
        PriorCell(
            data, extractor, name, fingerprint(priors[name]), seed, settings.latent_dim, settings.width, settings.steps,
            settings.batch_size, settings.learning_rate, settings.count, settings.t,
        )
        for data, extractor, name, seed in trained
    ]  # fmt: skip
