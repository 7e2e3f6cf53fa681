r"""Labelled priors: p(z) = sum_y p(y) p(z | y).

The posterior of the labels is kept in the log domain,

.. math:: \log p(y | z) = \log p(y) + \log p(z | y) - \log \sum_k p(k) \, p(z | k),

so that it is right for codes far from all components, and for components that overlap in all coordinates but a few.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.distributions import constraints

from latentry.display import Facts, Plottable
from latentry.numerics.inputs import checked
from latentry.priors.description import WithLabels
from latentry.priors.diagonal_normal import DiagonalNormal
from latentry.priors.distribution import CodeDistribution, checked_codes

__all__ = ["NormalMixture", "NormalMixtureDistribution"]

_FARTHEST = 1e100
"""Distance beyond which codes are no farther from one component than from another, in double precision."""


class NormalMixtureDistribution(CodeDistribution):
    """p(z) of a mixture of normal components; its coordinates are not independent.

    Example:
        >>> p = NormalMixture([[-3.0], [3.0]], [[1.0], [1.0]])()
        >>> p.mean, p.variance
        (tensor([0.]), tensor([10.]))
    """

    support = constraints.real_vector

    def __init__(self, components: DiagonalNormal, log_probs: Float[Tensor, "k"], batch_shape: Sequence[int] = ()) -> None:
        self.components = components
        self.log_probs = log_probs
        super().__init__(components.event_shape[0], components.loc, batch_shape)

    @property
    def mean(self) -> Tensor:
        return self._constant(self._mean())

    @property
    def variance(self) -> Tensor:
        """Of each coordinate: within the components, and between their means."""
        spread = self.components.variance + (self.components.loc - self._mean()).square()
        return self._constant(self.log_probs.exp() @ spread)

    @checked(differentiable=True, any_value=("value",))
    def joint_log_probs(self, value: Float[Tensor, "*n d"]) -> Float[Tensor, "*n k"]:
        """log p(y) + log p(z | y) for every label y."""
        z = checked_codes(value, self.event_shape)
        return self.log_probs + self.components.log_prob(z[..., None, :])

    @checked(differentiable=True, any_value=("value",))
    def log_prob(self, value: Float[Tensor, "*n d"]) -> Float[Tensor, "..."]:
        return self._of_codes(value, lambda z: self.joint_log_probs(z).logsumexp(-1))

    def _mean(self) -> Tensor:
        return self.log_probs.exp() @ self.components.loc

    def _draw(self, shape: tuple[int, ...], rng: torch.Generator | None) -> Tensor:
        y = _draw(self.log_probs.exp().expand(math.prod(shape), -1), rng).view(shape)
        return DiagonalNormal(self.components.loc[y], self.components.scale[y]).sample(rng=rng)


class NormalMixture(WithLabels, Plottable, nn.Module):
    """p(z) with one normal component, of independent coordinates, for each label.

    Components may differ in a few coordinates only. Samples take the dtype and the device that the prior was moved to.

    Args:
        loc: Means of the K components.
        scale: Standard deviations, above 0, of the same shape.
        probs: Probabilities of the labels, above 0, that sum to 1; equal by default.

    Raises:
        ValueError: Shapes do not fit each other, or numbers are outside their range.

    Example:
        >>> prior = NormalMixture(loc=[[-3.0, 0.0], [3.0, 0.0]], scale=[[1.0, 1.0], [1.0, 1.0]])
        >>> prior(torch.tensor([0, 1])).mean
        tensor([[-3.,  0.],
                [ 3.,  0.]])
        >>> prior.label_log_probs(torch.tensor([[2.0, 0.0]])).exp().argmax()
        tensor(1)
        >>> prior.sample(5).shape, prior.sample((), torch.tensor([1, 1, 0])).shape
        (torch.Size([5, 2]), torch.Size([3, 2]))
    """

    loc: Tensor
    scale: Tensor
    probs: Tensor

    def __init__(
        self,
        loc: Float[Tensor, "k d"] | Sequence[Sequence[float]],
        scale: Float[Tensor, "k d"] | Sequence[Sequence[float]],
        probs: Float[Tensor, "k"] | Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        locs, scales = (_floats(values) for values in (loc, scale))
        if locs.ndim != 2 or locs.numel() == 0 or scales.shape != locs.shape:
            raise ValueError(
                f"expected means and scales of one shape (K, d), got {tuple(locs.shape)} and {tuple(scales.shape)}; "
                "expand a scale that all components share"
            )
        chances = torch.full_like(locs[:, 0], 1 / len(locs)) if probs is None else _floats(probs).to(locs)
        if not (locs.isfinite().all() and scales.isfinite().all() and (scales > 0).all()):
            raise ValueError("expected finite means and finite scales above 0, got others")
        if chances.shape != locs.shape[:1] or not (chances > 0).all() or abs(chances.sum().item() - 1) > 1e-4:
            raise ValueError(
                f"expected {len(locs)} probabilities above 0 that sum to 1, got {chances.tolist()}; leave out components "
                "that never occur"
            )
        self.latent_dim = locs.shape[1]
        self.num_classes = len(locs)
        self.register_buffer("loc", locs)
        self.register_buffer("scale", scales.to(locs))
        self.register_buffer("probs", chances)

    def arguments(self) -> dict[str, Any]:
        """What the constructor was given, as JSON can hold it."""
        return {"loc": self.loc.tolist(), "scale": self.scale.tolist(), "probs": self.probs.tolist()}

    @checked(differentiable=True)
    def forward(self, y: Int[Tensor, "..."] | None = None) -> DiagonalNormal | NormalMixtureDistribution:
        """p(z), or p(z | y) of batch shape `y.shape`."""
        if y is None:
            return NormalMixtureDistribution(DiagonalNormal(self.loc, self.scale), self.probs.log().log_softmax(0))
        if y.numel() and (int(y.min()) < 0 or int(y.max()) >= self.num_classes):
            raise ValueError(f"expected labels from 0 to {self.num_classes - 1}, got {int(y.min())} to {int(y.max())}")
        return DiagonalNormal(self.loc[y], self.scale[y])

    @checked(differentiable=True)
    def sample(
        self, shape: int | Sequence[int] = (), y: Int[Tensor, "..."] | None = None, *, rng: torch.Generator | None = None
    ) -> Float[Tensor, "... d"]:
        """Codes `(*shape, d)`, or `(*shape, *y.shape, d)` of given labels; `rng` makes them reproducible.

        For codes with their labels draw `z`, then `sample_labels(z)`.
        """
        return self(y).sample(shape, rng=rng)

    @checked(differentiable=True, any_value=("z",))
    def log_prob(self, z: Float[Tensor, "*n d"], y: Int[Tensor, "..."] | None = None) -> Float[Tensor, "..."]:
        """log p(z), or log p(z | y), of whole codes."""
        return self(y).log_prob(z)

    @checked(differentiable=True, any_value=("z",))
    def label_log_probs(self, z: Float[Tensor, "*n d"]) -> Float[Tensor, "*n k"]:
        """log p(y | z) for every label y."""
        # against the first component, so that what all have in common cancels before it is squared
        far = checked_codes(z, self.loc.shape[1:]).double().clamp(-_FARTHEST, _FARTHEST)[..., None, :]
        loc, scale = self.loc.double(), self.scale.double()
        apart = far * (1 / scale[0] - 1 / scale) + loc / scale - loc[0] / scale[0]
        gain = 0.5 * apart * ((far - loc) / scale + (far - loc[0]) / scale[0]) - (scale / scale[0]).log()
        return (gain.sum(-1) + self.probs.double().log()).log_softmax(-1).to(z.dtype)

    @checked(differentiable=True)
    def sample_labels(self, z: Float[Tensor, "*n d"], *, rng: torch.Generator | None = None) -> Int[Tensor, "*n"]:
        """Labels drawn from p(y | z)."""
        probs = self.label_log_probs(z.detach()).exp()
        return _draw(probs.reshape(-1, self.num_classes), rng).view(z.shape[:-1])

    def typical_norm(self) -> float:
        """Root of the mean square of the norm."""
        mixture = self()
        return math.sqrt((mixture.variance + mixture.mean.square()).sum().item())

    def beside_normal(self, coordinates: int) -> "NormalMixture":
        """The mixture with so many more coordinates, N(0, 1) in every component: codes that know the label, then such that
        do not.

        Raises:
            ValueError: `coordinates` is below 0.
        """
        if coordinates < 0:
            raise ValueError(f"expected a number of coordinates of at least 0, got {coordinates}")
        more = self.loc.new_zeros(self.num_classes, coordinates)
        return NormalMixture(torch.cat([self.loc, more], 1), torch.cat([self.scale, more + 1], 1), self.probs)

    def extra_repr(self) -> str:
        return f"latent_dim={self.latent_dim}, num_classes={self.num_classes}"

    __repr__ = nn.Module.__repr__

    def _facts(self) -> Facts:
        return Facts(repr(self), (("elements of a code", f"{self.latent_dim:,}"), ("labels", f"{self.num_classes:,}")))

    def _draw(self, figure: Any) -> None:
        from latentry.priors.panels import draw_components

        draw_components(figure.subplots(), self)


def _floats(values: Any) -> Tensor:
    found = torch.as_tensor(values)
    return (found if found.is_floating_point() else found.to(torch.get_default_dtype())).detach().clone()


def _draw(probs: Float[Tensor, "n k"], rng: torch.Generator | None) -> Int[Tensor, "n"]:
    """One label for each row."""
    if len(probs) == 0:
        return torch.empty(0, dtype=torch.int64, device=probs.device)
    return torch.multinomial(probs, 1, generator=rng)[:, 0]
