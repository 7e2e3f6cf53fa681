r"""The spaces Z, W and W+ of a style-based generator, each as a generator of codes `(n, d)`.

Such a generator maps a code of its prior to a style, :math:`w = f(z)` or :math:`w = f(z, c)`, and makes data of one style
for each layer, :math:`x = S(w_1, \ldots, w_L)`, with noise inputs besides. Its codes live in three spaces:

=====  ==================================  =================================================================================
space  code                                generator
=====  ==================================  =================================================================================
Z      z of the prior, `(n, d_z)`          :math:`S(w, \ldots, w)` with :math:`w = \bar w + \psi (f(z) - \bar w)`
W      one style for all layers, `(n, d)`  :math:`S(w, \ldots, w)`
W+     a style for each layer, `(n, L d)`  :math:`S(w_1, \ldots, w_L)`
=====  ==================================  =================================================================================

The truncation :math:`\psi` moves styles towards their mean. W and W+ take styles as they are; their distributions are those
of truncated styles of the prior's codes, known by samples. Noise inputs are held fixed, since a code can only be recovered
where it decides the data: at the constant buffers of the generator, or at tensors that are given.

One module, though over 350 lines: both conventions and the three spaces share the same network of styles.

References: Karras et al., "A style-based generator architecture for generative adversarial networks", 2019 (W, truncation);
Abdal, Qin, Wonka, "Image2StyleGAN: how to embed images into the StyleGAN latent space?", 2019 (W+).
"""

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from latentry.generators.outputs import tensor_in
from latentry.holding import Condition, as_condition, evaluated, made, tried, weights_like
from latentry.holding.conditions import beside, cycled, drawn_rows
from latentry.interfaces import Prior

__all__ = ["StyleSpace", "StyleSpaces", "StylesOfPrior", "WGenerator", "WPlusGenerator", "ZGenerator", "style_spaces"]

_MEAN_CODES = 10_000
"""Codes whose styles are averaged where the generator keeps no mean."""
_AT_ONCE = 256
"""Codes that are mapped at once."""


class _StyleNetwork(nn.Module):
    """Mapping and synthesis, in whatever convention the generator has them."""

    layers = 1
    """Styles of one datum."""
    takes_one = False
    """Whether the synthesis takes one style `(n, d)` and knows of no layers."""

    def __init__(self, noise: Sequence[Tensor] | None) -> None:
        super().__init__()
        self.noise_names = [f"noise_{place}" for place in range(len(noise or ()))]
        for name, values in zip(self.noise_names, noise or (), strict=True):
            self.register_buffer(name, values.detach().clone())

    def options(self, own: dict[str, Any]) -> dict[str, Any]:
        """The given noise, or what makes the generator take its own."""
        return {"noise": [getattr(self, name) for name in self.noise_names]} if self.noise_names else own

    def mapped(self, z: Tensor, condition: Any) -> Tensor:
        """Styles as the mapping gives them, `(n, d)` or `(n, L, d)`."""
        raise NotImplementedError

    def synthesized(self, ws: Tensor) -> Any:
        """What the synthesis makes of styles."""
        raise NotImplementedError

    def styles(self, z: Tensor, condition: Any) -> Tensor:
        """One style `(n, d)` for each code."""
        w = self.mapped(z, condition)
        return w[:, 0] if w.ndim == 3 else w

    def data(self, ws: Float[Tensor, "n l d"]) -> Tensor:
        """Data of styles of all layers."""
        return tensor_in(self.synthesized(ws[:, 0] if self.takes_one else ws))

    def data_of_one(self, w: Float[Tensor, "n d"]) -> Tensor:
        """Data of one style for all layers."""
        return self.data(w[:, None].repeat(1, self.layers, 1))


class _MappingAndSynthesis(_StyleNetwork):
    """`mapping(z, c)` and `synthesis(ws, noise_mode="const")`, as in StyleGAN2 and StyleGAN3 of NVIDIA."""

    def __init__(self, generator: Any, noise: Sequence[Tensor] | None) -> None:
        super().__init__(noise)
        self.mapping, self.synthesis = generator.mapping, generator.synthesis
        self.needs_condition = _required(self.mapping) > 1
        self.own_noise = {"noise_mode": "const"} if _takes(self.synthesis, "noise_mode") else {}

    def mapped(self, z: Tensor, condition: Any) -> Tensor:
        w: Tensor = self.mapping(z, condition) if self.needs_condition or condition is not None else self.mapping(z)
        return w

    def synthesized(self, ws: Tensor) -> Any:
        return self.synthesis(ws, **self.options(self.own_noise))


class _StyleAndCall(_StyleNetwork):
    """`style(z)` and `generator([ws], input_is_latent=True)`, as in the StyleGAN2 of rosinality."""

    def __init__(self, generator: Any, noise: Sequence[Tensor] | None) -> None:
        super().__init__(noise)
        self.generator = generator
        self.own_noise = {"randomize_noise": False} if _takes(generator, "randomize_noise") else {}

    def mapped(self, z: Tensor, condition: Any) -> Tensor:
        w: Tensor = self.generator.style(z) if condition is None else self.generator.style(z, condition)
        return w

    def synthesized(self, ws: Tensor) -> Any:
        return self.generator([ws], input_is_latent=True, **self.options(self.own_noise))


class ZGenerator(nn.Module):
    """Codes of the prior to data, with truncation: `(z)` or `(z, condition)`."""

    def __init__(self, network: _StyleNetwork, latent_dim: int, mean: Float[Tensor, "w"], truncation: float) -> None:
        super().__init__()
        self.network, self.code_shape, self.truncation = network, (latent_dim,), truncation
        self.mean: Tensor
        self.register_buffer("mean", mean)

    def styles(self, z: Float[Tensor, "n d"], condition: Any = None) -> Float[Tensor, "n w"]:
        """Truncated styles of codes."""
        w = self.network.styles(z, condition)
        return w if self.truncation == 1 else self.mean + self.truncation * (w - self.mean)

    def forward(self, z: Float[Tensor, "n d"], condition: Any = None) -> Tensor:
        """Data of codes."""
        return self.network.data_of_one(self.styles(z, condition))


class WGenerator(nn.Module):
    """Styles `(n, d)`, one for all layers, to data."""

    def __init__(self, network: _StyleNetwork, latent_dim: int) -> None:
        super().__init__()
        self.network, self.code_shape = network, (latent_dim,)

    def forward(self, w: Float[Tensor, "n d"]) -> Tensor:
        """Data of styles."""
        return self.network.data_of_one(w)


class WPlusGenerator(nn.Module):
    """Styles of all layers, one after another in a code `(n, layers * d)`, to data."""

    def __init__(self, network: _StyleNetwork, latent_dim: int) -> None:
        super().__init__()
        self.network, self.code_shape = network, (network.layers, latent_dim)

    def forward(self, w: Float[Tensor, "n d"]) -> Tensor:
        """Data of styles."""
        return self.network.data(w.reshape(len(w), *self.code_shape))


class StylesOfPrior:
    """Distribution of the styles of a prior's codes, known by samples; those of W+ repeat one style.

    Args:
        generator: Z, with its mapping.
        prior: Distribution of the codes.
        layers: How many times a style is repeated.
        condition: Conditions that codes are mapped under, drawn from these rows.

    Example:
        >>> from types import SimpleNamespace
        >>> from latentry.priors import Normal
        >>> network = SimpleNamespace(mapping=nn.Linear(4, 6), synthesis=lambda ws: ws.mean(1))
        >>> style_spaces(network, Normal(4), layers=3).w_plus.prior.sample((5,)).shape
        torch.Size([5, 18])
    """

    def __init__(self, generator: ZGenerator, prior: Prior, layers: int, condition: Condition | None) -> None:
        self.generator, self.prior, self.layers, self.condition = generator, prior, layers, condition
        self.latent_dim = len(generator.mean) * layers

    def __repr__(self) -> str:
        return f"StylesOfPrior({self.prior!r}, latent_dim={self.latent_dim})"

    def sample(self, shape: Any = (), y: Any = None, *, rng: torch.Generator | None = None) -> Tensor:
        """Codes `(*shape, latent_dim)`."""
        size = (shape,) if isinstance(shape, int) else tuple(shape)
        count = math.prod(size)
        z = self.prior.sample((count,), rng=rng)
        w = _styles(self.generator, z, drawn_rows(self.condition, count, rng))
        return w.repeat(1, self.layers).view(*size, self.latent_dim)


@dataclass(frozen=True)
class StyleSpace:
    """One space of a style-based generator: a `LatentModel`."""

    generator: Any
    """Codes `(n, d)` to data; its `code_shape` is the shape of one code."""
    prior: Prior
    """Distribution of the codes."""


@dataclass(frozen=True)
class StyleSpaces:
    """The three spaces of a style-based generator, and the ways from one to the next."""

    z: StyleSpace
    """Codes of the prior."""
    w: StyleSpace
    """One style for all layers."""
    w_plus: StyleSpace
    """A style for each layer."""

    @property
    def layers(self) -> int:
        """Number of styles of one datum."""
        return int(self.w_plus.generator.code_shape[0])

    def to_w(self, z: Float[Tensor, "n d"], condition: Condition | None = None) -> Float[Tensor, "n w"]:
        """Codes in W that make the same data as codes in Z, truncation included; no gradient.

        Raises:
            ValueError: The condition has another number of rows.
        """
        return _styles(self.z.generator, z, as_condition(condition, len(z)))

    def to_w_plus(self, w: Float[Tensor, "n d"]) -> Float[Tensor, "n p"]:
        """Codes in W+ that make the same data as codes in W: the same style for each layer."""
        return w.repeat(1, self.layers)


def style_spaces(
    generator: Any,
    prior: Prior,
    *,
    truncation: float = 1.0,
    layers: int | None = None,
    noise: Sequence[Tensor] | None = None,
    condition: Condition | None = None,
) -> StyleSpaces:
    """Z, W and W+ of a style-based generator, as generators that every function of latentry takes.

    The priors of W and W+ are known by samples: `lt.fit_prior(spaces.w.prior.sample(5000))` gives one with a density.

    References: the module's theory.

    Args:
        generator: Anything with `mapping(z)` or `mapping(z, c)`, whose styles are `(n, d)` or `(n, layers, d)`, and
            `synthesis(ws)`, as in StyleGAN2 and StyleGAN3; or with `style(z)` and a call
            `generator([ws], input_is_latent=True)`.
        prior: Distribution of the codes in Z, such as `Normal(512)`.
        truncation: Share of the way from the mean style that is kept, in [0, 1].
        layers: Styles of one datum, where neither the mapping nor an attribute `num_ws` or `n_latent` tells.
        noise: Noise inputs, one tensor for each, passed as `noise=`. By default the generator's constant buffers are used
            (`noise_mode="const"`, `randomize_noise=False`).
        condition: What the mapping takes along with codes, any number of rows: the priors of W and W+ draw from these.

    Raises:
        ValueError: It is no style-based generator, its mapping gives layers different styles, its noise is not held fixed,
            or a number is out of its range.

    Example:
        >>> from types import SimpleNamespace
        >>> from latentry.priors import Normal
        >>> network = SimpleNamespace(mapping=nn.Linear(4, 6), synthesis=lambda ws: ws.mean(1))
        >>> spaces = style_spaces(network, Normal(4), layers=3)
        >>> [space.generator.code_shape for space in (spaces.z, spaces.w, spaces.w_plus)]
        [(4,), (6,), (3, 6)]
    """
    if not 0 <= truncation <= 1 or (layers is not None and layers < 1):
        raise ValueError(f"expected truncation in [0, 1] and layers >= 1, got {truncation} and {layers}")
    condition = as_condition(condition)
    network = _network(generator, noise)
    codes = prior.sample((2,), rng=torch.Generator(prior.sample((0,)).device).manual_seed(0))
    z = codes.to(weights_like(network, codes))
    given = beside(cycled(condition, len(z)), z)
    with evaluated(network), torch.no_grad():
        network.layers, network.takes_one = _layers(generator, tried(network.mapped, z, given), layers)
        style = network.styles(z, given)
        _check_noise(network, style)
    in_z = ZGenerator(network, prior.latent_dim, torch.zeros_like(style[0]), 1.0)
    if truncation != 1:
        in_z = ZGenerator(network, prior.latent_dim, _mean_style(in_z, prior, condition).to(style), truncation)
    d = style.shape[1]
    return StyleSpaces(
        StyleSpace(in_z, prior),
        StyleSpace(WGenerator(network, d), StylesOfPrior(in_z, prior, 1, condition)),
        StyleSpace(WPlusGenerator(network, d), StylesOfPrior(in_z, prior, network.layers, condition)),
    )


def _network(generator: Any, noise: Sequence[Tensor] | None) -> _StyleNetwork:
    if callable(getattr(generator, "mapping", None)) and callable(getattr(generator, "synthesis", None)):
        return _MappingAndSynthesis(generator, noise)
    if callable(getattr(generator, "style", None)) and _takes(generator, "input_is_latent"):
        return _StyleAndCall(generator, noise)
    raise ValueError(
        f"expected a style-based generator, got {type(generator).__name__} without mapping and synthesis, or style and "
        "input_is_latent; give it both, such as types.SimpleNamespace(mapping=f, synthesis=g)"
    )


def _layers(generator: Any, w: Tensor, given: int | None) -> tuple[int, bool]:
    """Styles of one datum, and whether the synthesis takes one style alone."""
    if w.ndim == 3:
        if not torch.equal(w, w[:, :1].expand_as(w)):
            raise ValueError(
                "expected a mapping that gives all layers one style, got different ones; leave truncation to style_spaces"
            )
        if given not in (None, w.shape[1]):
            raise ValueError(f"expected layers={w.shape[1]} as the mapping gives styles, got {given}; leave it out")
        return w.shape[1], False
    if w.ndim != 2:
        raise ValueError(f"expected styles (n, d) or (n, layers, d) from the mapping, got {tuple(w.shape)}")
    owners = (generator, getattr(generator, "synthesis", None), getattr(generator, "mapping", None))
    told = [getattr(owner, name, None) for owner in owners for name in ("num_ws", "n_latent")]
    count = next((value for value in (given, *told) if isinstance(value, int)), None)
    return (1, True) if count is None else (count, False)


def _check_noise(network: _StyleNetwork, w: Float[Tensor, "n d"]) -> None:
    """Make sure that the same styles give the same data."""
    with torch.random.fork_rng([w.device] if w.is_cuda else []):
        x, again = tried(network.data_of_one, w), network.data_of_one(w)
    if not torch.allclose(x, again, rtol=0, atol=1e-3 * x.abs().max().item()):
        raise ValueError(
            "expected a synthesis whose noise can be held fixed, got data of one style that differ by "
            f"{(x - again).abs().max().item():.3g}; pass noise=, one tensor for each noise input, or let synthesis take "
            'noise_mode="const"'
        )


def _mean_style(in_z: ZGenerator, prior: Prior, condition: Condition | None) -> Float[Tensor, "w"]:
    """The mean that the mapping kept in its training (`w_avg`), or that of many codes."""
    kept = getattr(getattr(in_z.network, "mapping", None), "w_avg", None)
    if isinstance(kept, Tensor) and kept.shape == in_z.mean.shape:
        return kept.detach().clone()
    rng = torch.Generator(prior.sample((0,)).device).manual_seed(0)
    return StylesOfPrior(in_z, prior, 1, condition).sample((_MEAN_CODES,), rng=rng).mean(0)


@torch.no_grad()
def _styles(generator: ZGenerator, z: Float[Tensor, "n d"], condition: Condition | None) -> Float[Tensor, "n w"]:
    """Truncated styles of codes, in the dtype and on the device of the codes."""
    with evaluated(generator):
        return made(generator.styles, z.to(weights_like(generator, z)), condition, size=_AT_ONCE).to(z)


def _parameters(function: Any) -> dict[str, inspect.Parameter]:
    try:
        return dict(inspect.signature(function.forward if isinstance(function, nn.Module) else function).parameters)
    except (TypeError, ValueError):  # of a script, or of a C extension
        return {}


def _takes(function: Any, name: str) -> bool:
    """Whether a callable has an argument of this name, or takes any."""
    known = _parameters(function)
    return name in known or any(one.kind is inspect.Parameter.VAR_KEYWORD for one in known.values())


def _required(function: Callable[..., Any]) -> int:
    """Number of positional arguments without a default."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(one.kind in kinds and one.default is inspect.Parameter.empty for one in _parameters(function).values())
