"""Promises of a map with one row of outputs for each row of inputs: what generators and measurements have in common.

The map is tried on a few rows. Gradients are held against finite differences along random directions, at several rows, and
by the median: at a kink of the map the two differ rightly.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.holding import modules_behind
from latentry.holding.trial import WatchedCall, watched_call
from latentry.latent.solvers.jacobian import jacobian, jacobian_mode
from latentry.testing.conformance import Finding, Question, finding, not_applicable

__all__ = ["Flags", "RowMap", "flags_behind", "questions_of", "share_of"]

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

_SAME = 1e-3
"""Most that two results may differ by, as a share of the largest value."""
_STEP = {torch.float64: 1e-6, torch.float32: 1e-2}
"""Of finite differences."""
_OFF = {torch.float64: 1e-4, torch.float32: 0.05}
"""How far a right gradient may be off them, as a share of its length."""
_FEW = 4
"""Rows that are tried, but for derivatives."""


@dataclass(frozen=True)
class Flags:
    """A module, its mode, and which of its parameters ask for a gradient."""

    module: torch.nn.Module
    training: bool | None
    asks: tuple[bool, ...]

    def module_has_changed(self) -> bool:
        """Whether the module has other ones by now."""
        return _flags(self.module) != self


def flags_behind(function: Any) -> tuple[Flags, ...]:
    """Those of every module that a callable may call.

    Example:
        >>> [one.training for one in flags_behind(torch.nn.Dropout().eval())]
        [False]
    """
    return tuple(map(_flags, modules_behind(function)))


def _flags(module: torch.nn.Module) -> Flags:
    asks = tuple(one.requires_grad for one in module.parameters(recurse=False))
    return Flags(module, getattr(module, "training", None), asks)


@dataclass(frozen=True)
class RowMap:
    """A map, and what it is tried on.

    Example:
        >>> tanh = RowMap(lambda x, at: x.tanh(), torch.randn(8, 2), "code", "codes", "data")
        >>> tanh.named(OWN_ROW), tanh.differ(torch.ones(2), torch.tensor([1.0, 0.9]))
        ('each row depends on its own code', 0.10000002384185791)
    """

    function: Callable[[Tensor, Tensor], Any]
    """Rows, and their numbers among those that it is tried on, to rows."""
    x: Float[Tensor, "n *s"]
    """What it is tried on, eight rows or more."""
    input: str
    """What a row of inputs is called."""
    inputs: str
    outputs: str
    least_axes: int = 1
    """Axes that outputs have at least."""
    behind: Any = None
    """The callable itself."""
    before: tuple["Flags", ...] = ()
    """Modes and flags of the modules behind it, before it was called (`flags_behind`)."""
    finer: Callable[[Tensor, Tensor], Any] | None = None
    """The same in double precision, where there is one."""

    def __call__(self, x: Tensor, at: Tensor | None = None) -> Any:
        """What it makes of rows; what the call writes to is put back."""
        return self.watched(x, at).result

    def watched(self, x: Tensor, at: Tensor | None = None, *, finer: bool = False) -> WatchedCall:
        """One call, and what it wrote to."""
        function = self.finer if finer and self.finer is not None else self.function
        places = torch.arange(len(x)) if at is None else at

        def of_rows(rows: Tensor) -> Any:
            return function(rows, places)

        of_rows.__wrapped__ = self.behind  # type: ignore[attr-defined]  # what messages are about
        return watched_call(of_rows, x)

    def all_rows(self, x: Tensor | None = None, *, finer: bool = False) -> Tensor:
        """What it makes of many rows, a few at a time; of all that it is tried on by default."""
        x = self.x if x is None else x
        with torch.no_grad():
            return torch.cat([self.watched(x[at], at, finer=finer).result for at in torch.arange(len(x)).split(_FEW)])

    def named(self, promise: str) -> str:
        """A promise in the words of this map."""
        return promise.format(input=self.input, inputs=self.inputs, outputs=self.outputs)

    @cached_property
    def few(self) -> Tensor:
        """The first rows, free of any graph."""
        return self.x[:_FEW].detach().clone()

    @cached_property
    def y(self) -> Tensor:
        """What it makes of them."""
        with torch.no_grad():
            made: Tensor = self(self.few)
        return made.detach().clone()

    def differ(self, a: Tensor, b: Tensor) -> float:
        """Largest difference, as a share of the largest value; infinite for two shapes and for NaN."""
        return share_of(a - b, a) if a.shape == b.shape else float("inf")


def share_of(difference: Tensor, values: Tensor) -> float:
    """The largest of some numbers, as a share of the largest of others; infinite for NaN.

    Example:
        >>> share_of(torch.tensor([0.5]), torch.tensor([-2.0]))
        0.25
    """
    if not difference.numel():
        return 0.0
    share = difference.detach().abs().max().item() / max(values.detach().abs().max().item(), 1e-12)
    return share if share == share else float("inf")


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
        (GRADIENT, _gradient, (DETERMINISTIC,)),
        (DIFFERENCES, _differences, (GRADIENT, OWN_ROW)),
        (FORWARD, _forward, (GRADIENT, DIFFERENCES, BATCH)),
    )
    return [
        Question(map_.named(name), lambda look=look: look(map_), ways_out.get(name, ""), tuple(map(map_.named, needs)))  # type: ignore[misc]
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
        map_(map_.x[_FEW : 2 * _FEW])
    stayed = torch.equal(content.nan_to_num(), kept.nan_to_num())
    return finding(stayed, float(not stayed), "the one before stayed" if stayed else "the one before was written to")


def _finite(map_: RowMap) -> Finding:
    broken = ~map_.all_rows().isfinite()
    rows = int(broken.flatten(1).any(1).sum()) if broken.ndim > 1 else int(broken.sum())
    return finding(not rows, rows, f"NaN or infinity in {rows} of {len(broken)} rows")


def _deterministic(map_: RowMap) -> Finding:
    with torch.no_grad():
        moved = map_.differ(map_.y, map_(map_.few))
    return finding(moved <= _SAME, moved, "differ by {} of the largest value")


def _own_row(map_: RowMap) -> Finding:
    others = map_.few.clone()
    others[1:] = map_.x[_FEW : 2 * _FEW - 1]
    with torch.no_grad():
        moved = map_.differ(map_.y[:1], map_(others)[:1])
    return finding(moved <= _SAME, moved, "moves by {} of the largest value when the others change")


def _order(map_: RowMap) -> Finding:
    at = torch.arange(_FEW).roll(1)
    with torch.no_grad():
        moved = map_.differ(map_.y[at], map_(map_.few[at], at))
    return finding(moved <= _SAME, moved, "moves by {} of the largest value when rows change places")


def _batch(map_: RowMap) -> Finding:
    sizes = (1, 2, _FEW - 1, 2 * _FEW)
    moved = []
    for size in sizes:
        try:
            with torch.no_grad():
                made = map_(map_.x[:size])
        except ValueError as error:
            return finding(False, size, f"refuses {size}: {(str(error).splitlines() or [''])[0]}")
        alike = min(size, _FEW)
        moved.append(map_.differ(map_.y[:alike], made[:alike]) if len(made) == size else float("inf"))
    return finding(
        max(moved) <= _SAME, max(moved), f"of {', '.join(map(str, sizes))} rows, move by {{}} of the largest value"
    )


def _different(map_: RowMap) -> Finding:
    made = map_.all_rows()
    spread = share_of(made - made[:1], made)
    return finding(spread > 0, spread, "differ by {} of the largest value")


def _gradient(map_: RowMap) -> Finding:
    y, slope = _slope(map_, map_.x)
    if slope is None:
        return finding(False, 0.0, f"no gradient with respect to the {map_.inputs}")
    alike = not (y != y[:1]).any()
    share = (slope.flatten(1) != 0).double().mean().item()
    return finding(alike or share > 0, share, f"{round(100 * share)} % of its elements are not 0, at {len(y)} {map_.inputs}")


def _slope(map_: RowMap, x: Tensor, *, finer: bool = False) -> tuple[Tensor, Tensor | None]:
    """What the map makes of rows, and the gradient of its weighted sum."""
    parts = [_slope_of_few(map_, x[at], at, finer) for at in torch.arange(len(x)).split(_FEW)]
    values, slopes = [y for y, _ in parts], [slope for _, slope in parts if slope is not None]
    return torch.cat(values), torch.cat(slopes) if len(slopes) == len(values) else None


def _slope_of_few(map_: RowMap, x: Tensor, at: Tensor, finer: bool) -> tuple[Tensor, Tensor | None]:
    x = x.detach().clone().requires_grad_(True)
    with torch.enable_grad():
        y = map_.watched(x, at, finer=finer).result
        if not y.requires_grad:
            return y, None
        return y.detach(), torch.autograd.grad(y, x, _weights(y), allow_unused=True)[0]


def _weights(y: Tensor) -> Tensor:
    """Of outputs of a few rows, for their weighted sum: all different."""
    size = _FEW * y[0].numel()
    return torch.linspace(1, 2, size, dtype=y.dtype, device=y.device).view(_FEW, *y.shape[1:])[: len(y)]


def _differences(map_: RowMap) -> Finding:
    finer = map_.finer is not None
    x = map_.x[: 2 * _FEW].double() if finer else map_.x[: 2 * _FEW]
    dtype = x.dtype if x.dtype in _STEP else torch.float32
    scale = x.std().clamp(min=1e-6)
    rng = torch.Generator().manual_seed(0)
    off = []
    for _ in range(2):
        direction = torch.randn(x.shape, generator=rng, dtype=torch.float64).to(x)
        y, slope = _slope(map_, x, finer=finer)
        assert slope is not None, "it has a gradient"
        step = _STEP[dtype] * scale
        weights = torch.cat([_weights(part.double()) for part in y.split(_FEW)]).flatten(1)
        above, below = (map_.all_rows(x + side * step * direction, finer=finer).double() for side in (1, -1))
        measured = ((above - below).flatten(1) * weights).sum(1) / (2 * step.double())
        derived = (slope.double() * direction.double()).flatten(1).sum(1)
        size = (slope.double().flatten(1).norm(dim=1) * direction.double().flatten(1).norm(dim=1)).clamp(min=1e-12)
        off.append((measured - derived).abs() / torch.maximum(size, measured.abs()))
    median = torch.cat(off).median().item()
    where = "in double precision" if dtype == torch.float64 else "in single precision"
    return finding(median <= _OFF[dtype], median, f"off by {{}} of its length, {where}")


def _forward(map_: RowMap) -> Finding:
    """Whether the Jacobian can be had at once, and agrees with the gradient."""
    one, at = map_.x[:1].detach(), torch.arange(1)
    flat, shape = one.flatten(1)[:, :64], one.shape

    def rows(part: Tensor) -> Tensor:
        whole = torch.cat([part, one.flatten(1)[:, part.shape[1] :].expand(len(part), -1)], 1)
        made: Tensor = map_.function(whole.view(-1, *shape[1:]), at)
        return made.flatten(1)

    try:
        mode = jacobian_mode(rows, flat)
    except ValueError as error:
        return not_applicable(f"none: {error}"[:120])
    _, columns = jacobian(rows, flat, mode)
    y, slope = _slope(map_, one)
    assert slope is not None, "it has a gradient"
    off = share_of(columns[0] @ _weights(y).flatten() - slope.flatten()[: flat.shape[1]], slope)
    if off > 10 * _SAME:
        return finding(False, off, "off by {} of the gradient")
    if mode != "batched":
        ways = {"forward": "column by column", "backward": "by two backward passes for each column"}
        return not_applicable(f"the Jacobian is had {ways[mode]}")
    return finding(True, off, "off by {} of the gradient")
