r"""The Jacobian of a generator at many codes, by forward derivatives.

Codes are short and data are long, so that the d columns :math:`\partial x / \partial z_j` cost d forward passes, while
the rows would cost as many backward passes as there are pixels. Forward mode takes all columns in one batched pass
(`torch.func.jvp` under `vmap`). For a generator that no batched transformation can see through the columns are taken one by
one; and for one without forward derivatives, by two backward passes each: :math:`u \mapsto J^T u` is linear, and the
derivative of :math:`v^T J^T u` with respect to u is :math:`J v`.
"""

import warnings
from collections.abc import Callable
from functools import cache
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import forward_ad
from torch.func import jvp, vmap

__all__ = ["JacobianMode", "jacobian", "jacobian_mode"]

JacobianMode = Literal["batched", "forward", "backward"]

Residuals = Callable[[Tensor], Tensor]


def jacobian(f: Residuals, z: Float[Tensor, "n d"], mode: JacobianMode = "batched") -> tuple[Tensor, Tensor]:
    """Values `(n, m)` and columns `(n, d, m)` of the Jacobian of `f`, each row of which depends on its own code alone.

    Args:
        f: Codes `(n, d)` to `(n, m)`, differentiable.
        z: Codes.
        mode: How to get at the columns; `jacobian_mode` finds one that works.
    """
    directions = torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
    if mode == "backward":
        return _backward(f, z, directions)
    _load_forward_rules()

    def column(direction: Tensor) -> tuple[Tensor, Tensor]:
        value, tangent = jvp(f, (z,), (direction.expand_as(z),))[:2]
        return value, tangent

    if mode == "batched":
        values, columns = vmap(column)(directions)
        return values[0], columns.transpose(0, 1)
    pairs = [column(direction) for direction in directions]
    return pairs[0][0], torch.stack([tangent for _, tangent in pairs], 1)


def jacobian_mode(f: Residuals, z: Float[Tensor, "n d"]) -> JacobianMode:
    """The fastest mode that works for `f`, tried on these codes.

    Raises:
        ValueError: None does.
    """
    for mode in get_args(JacobianMode):
        try:
            jacobian(f, z, mode)
        except (RuntimeError, NotImplementedError, ValueError) as error:
            reason = error
        else:
            return mode
    raise ValueError(
        f"expected a generator whose Jacobian can be had by forward or twofold backward derivatives, got {reason}; "
        "recover with solver=Adam(), which needs a gradient alone"
    )


@cache
def _load_forward_rules() -> None:
    """torch loads these when they are first used, and warns of code of its own meanwhile."""
    with warnings.catch_warnings(), forward_ad.dual_level():
        warnings.simplefilter("ignore", DeprecationWarning)
        forward_ad.make_dual(torch.ones(1), torch.ones(1))


def _backward(f: Residuals, z: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        z = z.detach().requires_grad_(True)
        value = f(z)
        u = torch.zeros_like(value, requires_grad=True)
        (pulled,) = torch.autograd.grad(value, z, u, create_graph=True)
        columns = [torch.autograd.grad(pulled, u, direction.expand_as(z), retain_graph=True)[0] for direction in directions]
    return value.detach(), torch.stack(columns, 1).detach()
