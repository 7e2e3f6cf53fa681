"""How trainings of encoders end: the files that all of them write, pairs of images, and one table."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from latentry.holding import evaluated
from latentry.latent.inverse import Inverse
from latentry.latent.inverse_files import save_inverse
from latentry.latent.inverse_report import InverseReport
from latentry.reports.drawings import drawn
from latentry.reports.pictures import grid, interleave, write_png
from latentry.reports.tables import Table, print_table
from latentry.tasks.runs import Run

__all__ = ["PAIRS", "PARTS", "conclude", "cost", "there_and_back"]

PARTS = ("checkpoints", "course.json", "inverse.safetensors", "inverse.json", "pairs.png")
"""What lies in the folder beside `results.json`."""
PAIRS = 48
"""Images in `pairs.png`, each beside what becomes of it."""
_PAIRS_A_ROW = 8


def there_and_back(generator: nn.Module, inverse: Inverse, x: Float[Tensor, "n *s"]) -> Float[Tensor, "n *s"]:
    """G(E(x))."""
    with evaluated(generator), torch.no_grad():
        return generator(inverse(x))


def cost(report: InverseReport) -> tuple[tuple[str, str], ...]:
    """Rows of the table on what the training took."""
    return ("generator forwards", f"{report.forwards:,}"), ("seconds", f"{report.seconds:.0f}")


def conclude(
    run: Run,
    inverse: Inverse,
    x: Float[Tensor, "n *s"],
    x_hat: Float[Tensor, "n *s"],
    result: dict[str, Any],
    table: Table,
) -> dict[str, Any]:
    """Write the inverse, `pairs.png` of x beside x_hat, and `results.json`; print the table."""
    save_inverse(run.folder, inverse)
    pairs = interleave(drawn([x.cpu(), x_hat.cpu()]))
    write_png(run.folder / "pairs.png", grid(pairs, 2 * _PAIRS_A_ROW), magnify=2)
    content = run.record(result)
    print_table(table, run.console)
    run.console.print(f"The inverse: {run.folder}")
    return content
