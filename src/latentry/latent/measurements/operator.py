"""What every measurement can do: composition, stacking, adjoint and norm."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse.linalg import LinearOperator, svds
from torch import Tensor

from latentry.latent.measurements.physics import as_real, is_physics, without_noise
from latentry.numerics.inputs import checked

__all__ = ["Composed", "Measurement", "Stacked", "as_measurement", "check_shape"]

_DENSE = 64
"""Elements of the smaller side up to which the norm is that of the matrix itself."""
_LINEAR = 1e-4
"""Most that A(2 x + y) may be off 2 A(x) + A(y) for a linear A, as a share of it."""


class Measurement:
    """A map A of data `(n, *s)` to what is measured of them, each datum on its own, with a derivative.

    `a * b` measures by b first and then by a. `a.stack(b)` measures by both, side by side in one row. What others wrote
    becomes a measurement by `as_measurement`.

    Example:
        >>> import torch, latentry as lt
        >>> both = lt.measurements.Downsample(2).stack(lt.measurements.Blur(1.0))
        >>> isinstance(both, lt.measurements.Measurement), both(torch.zeros(3, 1, 4, 4)).shape
        (True, torch.Size([3, 20]))
    """

    def __call__(self, x: Tensor) -> Tensor:
        """A(x)."""
        raise NotImplementedError

    def __mul__(self, first: "Measurement | Callable[[Tensor], Tensor]") -> "Composed":
        """This measurement of what `first` measures."""
        return Composed((*_parts(self, Composed), *_parts(as_measurement(first), Composed)))

    def __rmul__(self, then: Callable[[Tensor], Tensor]) -> "Composed":
        return Composed((*_parts(as_measurement(then), Composed), *_parts(self, Composed)))

    def stack(self, other: "Measurement | Callable[[Tensor], Tensor]") -> "Stacked":
        """Both measurements of the same data, flattened and put one behind the other: `(n, m1 + m2)`."""
        return Stacked((*_parts(self, Stacked), *_parts(as_measurement(other), Stacked)))

    @checked()
    def adjoint(self, y: Float[Tensor, "n *t"], shape: Sequence[int]) -> Float[Tensor, "n *s"]:
        r"""The transpose :math:`A^T y` of a linear measurement: :math:`\langle A x, y \rangle = \langle x, A^T y \rangle`.

        Args:
            y: Measurements.
            shape: Shape of one datum.

        Raises:
            ValueError: The measurement is not linear, or does not fit the shapes.

        Example:
            >>> import torch, latentry as lt
            >>> lt.measurements.Downsample(2).adjoint(torch.full((1, 1, 1), 4.0), (2, 2))
            tensor([[[1., 1.],
                     [1., 1.]]])
        """
        check_shape(shape)
        x = y.new_zeros(len(y), *shape)
        _check_linear(self, x)
        measured, pulled, *_ = torch.func.vjp(self, x)
        if measured.shape != y.shape:
            raise ValueError(
                f"expected measurements of shape {tuple(measured.shape)} of data of shape {tuple(x.shape)}, got "
                f"{tuple(y.shape)}"
            )
        return pulled(y)[0].detach()

    @checked()
    def norm(self, shape: Sequence[int]) -> float:
        """The largest singular value of a linear measurement of data of this shape, to four digits or better.

        Args:
            shape: Shape of one datum.

        Raises:
            ValueError: The measurement is not linear, or does not fit the shape.

        Example:
            >>> import latentry as lt
            >>> round(lt.measurements.Downsample(2).norm((4, 4)), 4)  # a mean of four
            0.5
        """
        check_shape(shape)
        x = torch.zeros(1, *shape, dtype=torch.float64)
        _check_linear(self, x)
        measured = self(x)
        m, n = measured.numel(), x.numel()
        if min(m, n) <= _DENSE:
            side = torch.func.jacrev if m <= n else torch.func.jacfwd
            return float(torch.linalg.matrix_norm(side(self)(x).reshape(m, n), 2))
        operator = LinearOperator(
            (m, n),
            matvec=lambda v: _flat(self(torch.from_numpy(v).view_as(x))),
            rmatvec=lambda u: _flat(self.adjoint(torch.from_numpy(u).view_as(measured), shape)),
            dtype=np.float64,
        )
        start = torch.randn(min(m, n), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        return float(svds(operator, k=1, v0=start.numpy(), return_singular_vectors=False, random_state=0)[0])


@dataclass(frozen=True)
class Composed(Measurement):
    """Measurements one after the other, the last one first, as in a product of matrices: what `a * b` gives."""

    parts: tuple[Measurement, ...]
    """What measures, the last one first."""

    def __call__(self, x: Tensor) -> Tensor:
        """A1(A2(...(x)))."""
        return reduce(lambda measured, part: part(measured), reversed(self.parts), x)


@dataclass(frozen=True)
class Stacked(Measurement):
    """Measurements side by side: what `a.stack(b)` gives."""

    parts: tuple[Measurement, ...]
    """What measures."""

    def __call__(self, x: Tensor) -> Float[Tensor, "n m"]:
        """All of them, flattened, one behind the other."""
        return torch.cat([part(x).flatten(1) for part in self.parts], 1)


@dataclass(frozen=True, eq=False)
class Called(Measurement):
    """Any callable, or an operator of `deepinv.physics`, as a measurement: what `as_measurement` gives."""

    operator: Callable[[Any], Any]
    """x -> y."""

    def __call__(self, x: Tensor) -> Tensor:
        """Measurements of data, as real numbers."""
        return as_real(without_noise(self.operator, x) if is_physics(self.operator) else self.operator(x))

    @property
    def __wrapped__(self) -> Callable[[Any], Any]:
        """What messages are about."""
        return self.operator

    def __repr__(self) -> str:
        return f"Called({getattr(self.operator, '__qualname__', type(self.operator).__name__)})"


def as_measurement(operator: Callable[[Any], Any]) -> Measurement:
    """A measurement of any callable, or of an operator of `deepinv.physics`.

    Args:
        operator: A differentiable map of data `(n, *s)` to one row of measurements for each; or a `deepinv.physics.Physics`,
            which is called by its `A`, without its noise. `Difference` takes these as they are.

    Raises:
        ValueError: It is no callable.

    Example:
        >>> import torch, latentry as lt
        >>> middle = lt.measurements.as_measurement(lambda x: x[..., 1:-1])
        >>> (lt.measurements.Downsample(2) * middle)(torch.ones(1, 2, 4)).shape
        torch.Size([1, 1, 1])
    """
    if isinstance(operator, Measurement):
        return operator
    if isinstance(operator, type) or not callable(operator):
        raise ValueError(
            f"expected a measurement: a callable x -> y or an operator of deepinv.physics, got {operator!r}; a class needs "
            "its brackets"
        )
    return Called(operator)


def check_shape(shape: Sequence[int]) -> None:
    """Make sure that a shape of one datum has an axis, and no empty one."""
    if not shape or min(shape) < 1:
        raise ValueError(f"expected a shape of positive sides, got {tuple(shape)}")


def _parts(measurement: Measurement, kind: type[Composed] | type[Stacked]) -> tuple[Measurement, ...]:
    return measurement.parts if isinstance(measurement, kind) else (measurement,)


def _check_linear(measurement: Callable[[Tensor], Tensor], like: Tensor) -> None:
    rng = torch.Generator().manual_seed(0)
    x, y = (torch.randn(like.shape, generator=rng, dtype=torch.float64).to(like) for _ in range(2))
    together, apart = measurement(2 * x + y), 2 * measurement(x) + measurement(y)
    if not (together - apart).abs().max() <= _LINEAR * apart.abs().max() + 1e-12:
        raise ValueError(
            "expected a linear measurement, which alone has an adjoint and a norm, got one with A(2 x + y) unlike "
            "2 A(x) + A(y)"
        )


def _flat(x: Tensor) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    return x.detach().numpy().ravel()
