"""How others find the code of a datum: the methods of `against_peers.py`, each as `method(generator, x, starts) -> found`.

Every method has a budget of evaluations for each datum (one for a forward pass, two more for its gradient) or, where that
is None, takes the settings it has by itself. All but `recover_codes` work on one datum after the other, as their authors
do. References stand at each.
"""

import math
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

import latentry as lt

__all__ = ["CURVE", "OURS", "PEERS", "Method", "Task"]

GRADIENT = 3
"""Evaluations of a loss with its gradient."""
RATE = 0.05
"""Adam's rate, where a peer names none; that of pix2latent."""


@dataclass
class Counted:
    """A generator that counts the codes it was given, and keeps the best code of those that were looked at."""

    generator: Callable[[Tensor], Tensor]
    passes: int = 0

    def __call__(self, z: Tensor) -> Tensor:
        self.passes += len(z)
        return self.generator(z)


@dataclass(frozen=True)
class Method:
    """A way to find codes."""

    name: str
    key: str
    """Its name in that of a file."""
    find: Callable[["Task", int | None], tuple[Tensor, float]]
    """Codes `(n, d)` of a task and a budget, and evaluations for each datum."""
    own_gradients: int = 0
    """Gradients of one datum by its own settings, about."""
    needs: str | None = None
    """A package that may be missing."""


@dataclass(frozen=True)
class Task:
    """Data whose codes are to be found."""

    generator: Callable[[Tensor], Tensor]
    prior: Any
    x: Tensor
    starts: Tensor
    """Draws from the prior, `(n, 4, d)`."""
    seed: int = 0


def ours(task: Task, budget: int | None) -> tuple[Tensor, float]:
    """`recover_codes` as it is."""
    torch.manual_seed(task.seed)
    found = lt.recover_codes(task.generator, task.x, task.prior, progress=None)
    return found.z, found.evaluations.double().mean().item()


def adam(task: Task, budget: int | None) -> tuple[Tensor, float]:
    """A loop of `torch.optim.Adam` for each start; by itself 1,000 steps."""
    return _best_of_starts(task, 1000 if budget is None else _share(budget, task), _adam)


def lbfgs(task: Task, budget: int | None) -> tuple[Tensor, float]:
    """`torch.optim.LBFGS` with its strong Wolfe search for each start; by itself 100 iterations."""
    steps = 125 if budget is None else _share(budget, task)  # torch allows 5 / 4 of the iterations as gradients
    return _best_of_starts(task, steps, _lbfgs)


def batched_lbfgs(task: Task, budget: int | None) -> tuple[Tensor, float]:
    """`recover_codes` by L-BFGS alone, all data in one batch, with as many iterations as others have gradients."""
    torch.manual_seed(task.seed)
    solver = lt.solvers.LBFGS(steps=100 if budget is None else _share(budget, task), halve_at=None)
    found = lt.recover_codes(task.generator, task.x, task.prior, solver=solver, determination=False, progress=None)
    return found.z, found.evaluations.double().mean().item()


def csgm(task: Task, budget: int | None) -> tuple[Tensor, float]:
    """deepinv's `CSGMGenerator` (Bora et al., 2017), by itself from its own single start in [-1, 1]; under a budget from the
    starts of all, without its rule to end."""
    physics, model_class = _deepinv()
    counted = Counted(task.generator)
    backbone = _Backbone(counted, task.prior.latent_dim)
    steps = 2500 if budget is None else _share(budget, task)
    model = model_class(backbone, inf_max_iter=steps, **({} if budget is None else {"inf_tol": -1.0})).eval()
    torch.manual_seed(task.seed)
    codes = []
    for x, starts in zip(task.x, task.starts, strict=True):
        tried = [model.random_latent(x.device)] if budget is None else list(starts[:, None, :, None, None])
        codes.append(
            _least(counted, x, torch.cat([model.optimize_z(z.detach(), x[None], physics).flatten(1) for z in tried]))
        )
    return torch.cat(codes), _evaluations(counted, task)


def basin_cma(task: Task, budget: int | None) -> tuple[Tensor, float]:
    """BasinCMA of pix2latent (Huh et al., 2020): CMA-ES proposes codes, Adam improves each, and CMA-ES is told what came of
    its proposals; at the end Adam improves the last proposals for longer.

    Its settings are 30 rounds of 30 steps and 300 steps at the end, at a rate of 0.05, from a standard deviation of 1. Under
    a budget rounds and steps shrink alike. Its noise and its bounds on codes are left out, and pixels compared, as by all.
    """
    import cma

    d = task.prior.latent_dim
    mean, root = (part.to(task.x) for part in _whitening(task.prior))
    population = 4 + int(3 * math.log(d))
    steps = 1200.0 if budget is None else max(4.0, budget / (GRADIENT * population))
    rounds, last = max(1, round(math.sqrt(0.75 * steps))), max(1, round(0.25 * steps))
    counted = Counted(task.generator)
    codes = []
    for x in task.x:
        options = {"seed": math.nan, "randn": _normal(task.seed), "verbose": -9, "popsize": population}
        search = cma.CMAEvolutionStrategy(d * [0.0], 1.0, options)
        for _ in range(rounds):
            proposed = search.ask()
            z = mean + torch.as_tensor(np.stack(proposed), dtype=x.dtype) @ root
            better = _adam(counted, x, z, rounds)
            search.tell(proposed, _errors(counted, x, better).tolist())
        z = mean + torch.as_tensor(np.stack(search.ask()), dtype=x.dtype) @ root
        codes.append(_least(counted, x, _adam(counted, x, z, last)))
    return torch.cat(codes), _evaluations(counted, task)


OURS = Method("recover_codes", "ours", ours)
_TORCH_LBFGS = Method("torch.optim.LBFGS", "lbfgs", lbfgs, own_gradients=500)
PEERS = (
    _TORCH_LBFGS,
    Method("torch.optim.Adam", "adam", adam, own_gradients=4000),
    Method("deepinv CSGMGenerator", "csgm", csgm, own_gradients=2500, needs="deepinv"),
    Method("pix2latent BasinCMA", "basin-cma", basin_cma, own_gradients=14_000, needs="cma"),
)
CURVE = (_TORCH_LBFGS, Method("lt.solvers.LBFGS", "batched-lbfgs", batched_lbfgs))
"""L-BFGS alone."""


def _share(budget: int, task: Task) -> int:
    """Gradients of one start."""
    return max(1, round(budget / (GRADIENT * task.starts.shape[1])))


def _evaluations(counted: Counted, task: Task) -> float:
    """Of one datum: each pass but the last ones, that compare starts, had a gradient."""
    return GRADIENT * counted.passes / len(task.x)


def _errors(generator: Callable[[Tensor], Tensor], x: Tensor, z: Tensor) -> Tensor:
    with torch.no_grad():
        return (generator(z) - x).square().flatten(1).mean(1)


def _least(generator: Callable[[Tensor], Tensor], x: Tensor, z: Tensor) -> Tensor:
    """The best of these codes, `(1, d)`."""
    z = z.detach()
    return z[_errors(generator, x, z).nan_to_num(nan=math.inf).argmin()][None]


def _best_of_starts(
    task: Task, steps: int, descend: Callable[[Callable[[Tensor], Tensor], Tensor, Tensor, int], Tensor]
) -> tuple[Tensor, float]:
    counted = Counted(task.generator)
    codes = [
        _least(counted, x, torch.cat([descend(counted, x, z[None], steps) for z in starts]))
        for x, starts in zip(task.x, task.starts, strict=True)
    ]
    return torch.cat(codes), _evaluations(counted, task)


def _adam(generator: Callable[[Tensor], Tensor], x: Tensor, z: Tensor, steps: int) -> Tensor:
    z = z.clone().requires_grad_(True)
    optimiser = torch.optim.Adam([z], lr=RATE)
    for _ in range(steps):
        optimiser.zero_grad()
        (generator(z) - x).square().flatten(1).mean(1).sum().backward()
        optimiser.step()
    return z.detach()


def _lbfgs(generator: Callable[[Tensor], Tensor], x: Tensor, z: Tensor, gradients: int) -> Tensor:
    z = z.clone().requires_grad_(True)
    optimiser = torch.optim.LBFGS(
        [z], max_iter=gradients, max_eval=gradients, history_size=10, line_search_fn="strong_wolfe",
        tolerance_grad=0.0, tolerance_change=0.0,
    )  # fmt: skip

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = (generator(z) - x).square().mean()
        value.backward()
        return value

    optimiser.step(loss)
    return z.detach()


def _whitening(prior: Any) -> tuple[Tensor, Tensor]:
    """Mean and a root of the covariance of a prior's draws."""
    drawn = prior.sample((10_000,), rng=torch.Generator().manual_seed(0))
    return drawn.mean(0), torch.linalg.cholesky(drawn.T.cov()).T


def _normal(seed: int) -> Callable[..., np.ndarray]:
    """Normal random numbers of these sizes, beside numpy's own state."""
    rng = np.random.default_rng(seed)
    return lambda *shape: rng.standard_normal(shape)


class _Backbone(torch.nn.Module):
    """A generator as deepinv expects it: codes `(1, d, 1, 1)`, and a length `nz`."""

    def __init__(self, generator: Callable[[Tensor], Tensor], nz: int) -> None:
        super().__init__()
        self.generate, self.nz = generator, nz

    def forward(self, z: Tensor) -> Tensor:
        return self.generate(z.flatten(1))


def _deepinv() -> tuple[Any, Any]:
    """The identity as a measurement, and the class. Without the registrations of torchvision's wheel, which cannot be
    imported beside torch for the CPU."""
    sys.modules.setdefault("torchvision._meta_registrations", types.ModuleType("torchvision._meta_registrations"))
    from deepinv.models import CSGMGenerator
    from deepinv.physics import Denoising, ZeroNoise

    return Denoising(ZeroNoise()), CSGMGenerator
