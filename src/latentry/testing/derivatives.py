"""Whether a map has derivatives, and whether they are right.

Gradients are held against finite differences along random directions, at several rows, and judged by the median: at a kink
of the map the two differ rightly. Forward derivatives are held against the gradient.
"""

import torch
from torch import Tensor

from latentry.latent.solvers.jacobian import jacobian, jacobian_mode
from latentry.testing.conformance import Finding, finding, not_applicable
from latentry.testing.row_map import FEW, SAME, RowMap, share_of

__all__ = ["differences", "forward_derivatives", "gradient"]

_STEP = {torch.float64: 1e-6, torch.float32: 1e-2}
"""Of finite differences."""
_OFF = {torch.float64: 1e-4, torch.float32: 0.05}
"""How far a right gradient may be off them, as a share of its length."""


def gradient(map_: RowMap) -> Finding:
    """Whether there is one that is not 0 where outputs differ."""
    y, slope = _slope(map_, map_.x)
    if slope is None:
        return finding(False, 0.0, f"no gradient with respect to the {map_.inputs}")
    alike = not (y != y[:1]).any()
    share = (slope.flatten(1) != 0).double().mean().item()
    return finding(alike or share > 0, share, f"{round(100 * share)} % of its elements are not 0, at {len(y)} {map_.inputs}")


def _slope(map_: RowMap, x: Tensor, *, finer: bool = False) -> tuple[Tensor, Tensor | None]:
    """What the map makes of rows, and the gradient of its weighted sum."""
    parts = [_slope_of_few(map_, x[at], at, finer) for at in torch.arange(len(x)).split(FEW)]
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
    size = FEW * y[0].numel()
    return torch.linspace(1, 2, size, dtype=y.dtype, device=y.device).view(FEW, *y.shape[1:])[: len(y)]


def differences(map_: RowMap) -> Finding:
    """The gradient against finite differences."""
    finer = map_.finer is not None
    x = map_.x[: 2 * FEW].double() if finer else map_.x[: 2 * FEW]
    dtype = x.dtype if x.dtype in _STEP else torch.float32
    scale = x.std().clamp(min=1e-6)
    rng = torch.Generator().manual_seed(0)
    off = []
    for _ in range(2):
        direction = torch.randn(x.shape, generator=rng, dtype=torch.float64).to(x)
        y, slope = _slope(map_, x, finer=finer)
        assert slope is not None, "it has a gradient"
        step = _STEP[dtype] * scale
        weights = torch.cat([_weights(part.double()) for part in y.split(FEW)]).flatten(1)
        above, below = (map_.all_rows(x + side * step * direction, finer=finer).double() for side in (1, -1))
        measured = ((above - below).flatten(1) * weights).sum(1) / (2 * step.double())
        derived = (slope.double() * direction.double()).flatten(1).sum(1)
        size = (slope.double().flatten(1).norm(dim=1) * direction.double().flatten(1).norm(dim=1)).clamp(min=1e-12)
        off.append((measured - derived).abs() / torch.maximum(size, measured.abs()))
    median = torch.cat(off).median().item()
    where = "in double precision" if dtype == torch.float64 else "in single precision"
    return finding(median <= _OFF[dtype], median, f"off by {{}} of its length, {where}")


def forward_derivatives(map_: RowMap) -> Finding:
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
    if off > 10 * SAME:
        return finding(False, off, "off by {} of the gradient")
    if mode != "batched":
        ways = {"forward": "column by column", "backward": "by two backward passes for each column"}
        return not_applicable(f"the Jacobian is had {ways[mode]}")
    return finding(True, off, "off by {} of the gradient")
