"""What finds known codes: the solver, or what it compares?

    python benchmarks/before_squashing.py --out evidence/benchmarks/before_squashing.json

Codes drawn from the prior of the shipped digits generator are recovered from the images that it makes of them. Each solver
compares images twice: as they are ("pixels"), and before the squashing, where both sides have gone through artanh, so that
the generator's last flat step is undone. All of them start from the same draws of the prior. A code is found where its mean
squared error, for a prior of variance 1, is below 0.01. An evaluation is a forward pass; a gradient counts two more.
"""

import argparse
import time

import torch
from torch import Tensor

import latentry as lt
from latentry.latent.solvers.solver import Solver
from latentry.models.pretrained import installed_versions
from latentry.reports.tables import Table, print_table
from latentry.storage import write_json

FOUND = 1e-2
SHORT_OF_ONE = 1e-6
"""How far short of the ends images are drawn in, so that artanh stays finite."""
AS_GIVEN = lt.metrics.Difference(operator=lambda x: x)
"""With a measurement, be it the identity, solvers do not look for a squashing themselves."""


def before_squashing(x: Tensor) -> Tensor:
    return torch.atanh((1 - SHORT_OF_ONE) * x)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codes", type=int, default=16)
    parser.add_argument("--restarts", type=int, default=2)
    parser.add_argument("--lbfgs_steps", type=int, default=1500)
    parser.add_argument("--adam_steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", help="write the figures as JSON to this file")
    arguments = parser.parse_args()

    shipped = lt.load_model("digits-generator")
    generator, prior = shipped.generator.eval().requires_grad_(False), shipped.prior
    assert prior is not None
    z = prior.sample(arguments.codes, rng=torch.Generator().manual_seed(arguments.seed))
    with torch.no_grad():
        x = generator(z)
    solvers: dict[str, Solver] = {
        "Adam": lt.solvers.Adam(steps=arguments.adam_steps),
        "L-BFGS": lt.solvers.LBFGS(steps=arguments.lbfgs_steps),
    }
    figures: dict[str, dict[str, float]] = {}
    for name, solver in solvers.items():
        for place, made, given in (
            ("pixels", generator, x),
            ("before the squashing", lambda codes: before_squashing(generator(codes)), before_squashing(x)),
        ):
            began = time.perf_counter()
            rng = torch.Generator().manual_seed(arguments.seed + 1)
            found = lt.recover_codes(
                made, given, prior, solver=solver, difference=AS_GIVEN, restarts=arguments.restarts, rng=rng
            )
            figures[f"{name}, {place}"] = {
                "found": int(((found.z - z).square().mean(1) < FOUND).sum()),
                "evaluations": found.evaluations.double().mean().item(),
                "seconds": time.perf_counter() - began,
            }
    rows = [
        (name, f"{row['found']:.0f} of {arguments.codes}", f"{row['evaluations']:,.0f}", f"{row['seconds']:.0f}")
        for name, row in figures.items()
    ]
    print_table(Table("Known codes of digits-generator", ("way", "found", "evaluations a code", "seconds"), tuple(rows)))
    if arguments.out:
        write_json(arguments.out, {"settings": vars(arguments), "versions": installed_versions(), "figures": figures})


if __name__ == "__main__":
    main()
