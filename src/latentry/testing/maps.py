"""Promises of a map with one row of outputs for each row of inputs: what generators and measurements have in common."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from latentry.testing.conformance import Finding, Question, finding
from latentry.testing.derivatives import differences, forward_derivatives, gradient
from latentry.testing.row_map import FEW, SAME, RowMap, share_of

__all__ = ["questions_of"]

GIVES = "takes {inputs} and gives one row for each"
DEVICE = "gives {outputs} on the device of its {inputs}"
INPUT = "leaves its input as it is"
STATE = "leaves parameters, buffers and modes as they are"
NEW = "returns a new tensor at each call"
FINITE = "gives finite {outputs}"
DETERMINISTIC = "the same {inputs} give the same {outputs}"
OWN_ROW = "each row depends on its own {input}"
ORDER = "a row does not depend on its place"
BATCH = "takes any number of {inputs}"
DIFFERENT = "different {inputs} give different {outputs}"
GRADIENT = "has a gradient"
DIFFERENCES = "its gradient agrees with finite differences"
FORWARD = "has forward derivatives of a batch (vmap)"

_ALLOWS = {
    FORWARD: "they would make Levenberg-Marquardt fast; avoid .item(), give autograd functions jvp and generate_vmap_rule"
}


def questions_of(map_: RowMap, ways_out: dict[str, str]) -> list[Question]:
    """What is required of every such map, in its words.

    Args:
        map_: The map.
        ways_out: What to do about each promise that is broken.
    """
    looks: Sequence[tuple[str, Callable[[RowMap], Finding], tuple[str, ...]]] = (
        (GIVES, _gives, ()),
        (DEVICE, _device, (GIVES,)),
        (INPUT, _input, (GIVES, DEVICE)),
        (STATE, _state, (GIVES, DEVICE)),
        (NEW, _new, (GIVES, DEVICE, INPUT)),
        (FINITE, _finite, (GIVES, DEVICE)),
        (DETERMINISTIC, _deterministic, (GIVES, DEVICE, FINITE, NEW)),
        (OWN_ROW, _own_row, (DETERMINISTIC,)),
        (ORDER, _order, (DETERMINISTIC, OWN_ROW)),
        (BATCH, _batch, (DETERMINISTIC, OWN_ROW, ORDER)),
        (DIFFERENT, _different, (DETERMINISTIC,)),
        (GRADIENT, gradient, (DETERMINISTIC,)),
        (DIFFERENCES, differences, (GRADIENT, OWN_ROW)),
        (FORWARD, forward_derivatives, (GRADIENT, DIFFERENCES, BATCH)),
    )

    def named(names: Sequence[str]) -> tuple[str, ...]:
        return tuple(map(map_.named, names))

    return [
        Question(map_.named(name), partial(look, map_), ways_out.get(name, ""), _ALLOWS.get(name, ""), named(needs))
        for name, look, needs in looks
    ]


def _gives(map_: RowMap) -> Finding:
    x = map_.few
    with torch.no_grad():
        y = map_(x)
    if not isinstance(y, Tensor):
        return finding(False, float("nan"), f"gives {type(y).__name__}, and no tensor")
    shapes = f"{tuple(x.shape)} to {tuple(y.shape)}"
    if not y.is_floating_point():
        return finding(False, float("nan"), f"{shapes}, of {y.dtype}, which are no real numbers of a floating type")
    kept = y.ndim >= map_.least_axes and len(y) == len(x)
    return finding(kept, len(y) if y.ndim else 0, f"{map_.inputs} {shapes}")


def _device(map_: RowMap) -> Finding:
    with torch.no_grad():
        device = map_(map_.few).device
    return finding(device == map_.x.device, float("nan"), f"{map_.inputs} on {map_.x.device}, {map_.outputs} on {device}")


def _input(map_: RowMap) -> Finding:
    x = map_.few.clone()
    with torch.no_grad():
        call = map_.watched(x)
    changed = call.wrote_to_input or not torch.equal(x, map_.few)
    return finding(not changed, float(changed), "wrote to it" if changed else "did not write to it")


def _state(map_: RowMap) -> Finding:
    with torch.no_grad():
        call = map_.watched(map_.few)
    written = call.written - call.wrote_to_input
    changed = sum(one.module_has_changed() for one in map_.before)
    return finding(
        not (written or changed), written + changed, f"wrote to {written} tensors, set {changed} modules otherwise"
    )


def _new(map_: RowMap) -> Finding:
    with torch.no_grad():
        kept = map_(map_.few)
        content = kept.clone()
        map_(map_.x[FEW : 2 * FEW])
    stayed = torch.equal(content.nan_to_num(), kept.nan_to_num())
    return finding(stayed, float(not stayed), "the one before stayed" if stayed else "the one before was written to")


def _finite(map_: RowMap) -> Finding:
    broken = ~map_.all_rows().isfinite()
    rows = int(broken.flatten(1).any(1).sum()) if broken.ndim > 1 else int(broken.sum())
    return finding(not rows, rows, f"NaN or infinity in {rows} of {len(broken)} rows")


def _deterministic(map_: RowMap) -> Finding:
    with torch.no_grad():
        moved = map_.differ(map_.y, map_(map_.few))
    return finding(moved <= SAME, moved, "differ by {} of the largest value")


def _own_row(map_: RowMap) -> Finding:
    others = map_.few.clone()
    others[1:] = map_.x[FEW : 2 * FEW - 1]
    with torch.no_grad():
        moved = map_.differ(map_.y[:1], map_(others)[:1])
    return finding(moved <= SAME, moved, "moves by {} of the largest value when the others change")


def _order(map_: RowMap) -> Finding:
    at = torch.arange(FEW).roll(1)
    with torch.no_grad():
        moved = map_.differ(map_.y[at], map_(map_.few[at], at))
    return finding(moved <= SAME, moved, "moves by {} of the largest value when rows change places")


def _batch(map_: RowMap) -> Finding:
    sizes = (1, 2, FEW - 1, 2 * FEW)
    moved = []
    for size in sizes:
        try:
            with torch.no_grad():
                made = map_(map_.x[:size])
        except ValueError as error:
            return finding(False, size, f"refuses {size}: {(str(error).splitlines() or [''])[0]}")
        alike = min(size, FEW)
        moved.append(map_.differ(map_.y[:alike], made[:alike]) if len(made) == size else float("inf"))
    return finding(
        max(moved) <= SAME, max(moved), f"of {', '.join(map(str, sizes))} rows, move by {{}} of the largest value"
    )


def _different(map_: RowMap) -> Finding:
    made = map_.all_rows()
    spread = share_of(made - made[:1], made)
    return finding(spread > 0, spread, "differ by {} of the largest value")
