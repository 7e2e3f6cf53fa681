"""A third-party generator as a module of codes `(n, d)`: shape of codes, entry and range of the output, precision."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from latentry.generators.code_shape import check_code_shape, found_code_shape
from latentry.generators.outputs import Output, OutputRange, tensor_in
from latentry.holding import Condition, as_condition, modules_behind

__all__ = ["AdaptedGenerator", "Origin", "as_generator"]

_HALF = (torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Origin:
    """Where a generator comes from, so that it can be found again."""

    parts: tuple[str | Path, ...]
    """What `load_generator` takes, its paths as such."""
    hashes: tuple[tuple[str, str], ...]
    """SHA-256 of each file that decides what the generator does, with its name."""
    runs_code: bool
    """Whether loading it runs Python of the user's."""

    @property
    def source(self) -> str:
        """What `load_generator` takes."""
        return "".join(map(str, self.parts))


class AdaptedGenerator(nn.Module):
    """A third-party generator, called with codes `(n, d)`.

    Codes are reshaped to `(n, *code_shape)` and brought to the precision of the weights; of what comes back, the entry
    `output` is taken. Half precision goes out as single. With `output_range` the data are brought from there to [-1, 1].
    More arguments of a call, such as a condition, are passed on as they are.

    Args:
        function: The generator: a module, or any callable.
        code_shape: Shape of one code as the function takes it.
        output: Entry of the output that holds the data; None for the only tensor there is.
        output_range: Both ends of the data as the function makes them; None keeps their units.
        origin: Where it comes from, for those from a file.

    Raises:
        ValueError: A shape or a range is none.

    Example:
        >>> generator = AdaptedGenerator(nn.Sequential(nn.ConvTranspose2d(8, 1, 4), nn.Sigmoid()), (8, 1, 1), None, (0, 1))
        >>> generator(torch.zeros(2, 8)).shape, generator.latent_dim
        (torch.Size([2, 1, 4, 4]), 8)
    """

    def __init__(
        self,
        function: Callable[..., Any],
        code_shape: Sequence[int],
        output: Output | None = None,
        output_range: OutputRange | None = None,
        origin: Origin | None = None,
    ) -> None:
        super().__init__()
        self.code_shape = check_code_shape(code_shape)
        self.output = output
        self.output_range = None if output_range is None else _checked_range(output_range)
        self.origin = origin
        if isinstance(function, nn.Module):
            self.network: Callable[..., Any] = function
        else:
            self.networks = nn.ModuleList(_outermost(modules_behind(function)))
            self.function = function
        if origin is not None and not self.state_dict():  # so that a fingerprint of it tells it from other functions
            digest = bytes.fromhex("".join(hash_ for _, hash_ in origin.hashes))
            self.register_buffer("hashes", torch.tensor(list(digest), dtype=torch.uint8))

    @property
    def latent_dim(self) -> int:
        """Elements of a code."""
        return math.prod(self.code_shape)

    @property
    def name(self) -> str:
        """What to call it: its source, or the name of what was adapted."""
        known = getattr(self.original, "__qualname__", type(self.original).__name__)
        return str(known) if self.origin is None else self.origin.source

    @property
    def original(self) -> Callable[..., Any]:
        """The generator as others made it."""
        return self.function if hasattr(self, "function") else self.network

    def forward(self, z: Float[Tensor, "n d"], *more: Any) -> Tensor:
        """Data of codes.

        Raises:
            ValueError: The codes have another length, or the output has no such entry.
        """
        if z.ndim != 2 or z.shape[1] != self.latent_dim:
            shape = f" (each is brought to {self.code_shape})" if len(self.code_shape) > 1 else ""
            raise ValueError(f"expected codes of shape (n, {self.latent_dim}){shape}, got {tuple(z.shape)}")
        dtype = next((weight.dtype for weight in self.parameters() if weight.is_floating_point()), z.dtype)
        with sdpa_kernel(SDPBackend.MATH):  # fused attention has no derivatives but the first gradient
            output = self.original(z.to(dtype).reshape(len(z), *self.code_shape), *more)
        x = tensor_in(output, self.output)
        x = x.float() if x.dtype in _HALF else x
        if self.output_range in (None, (-1.0, 1.0)):
            return x
        low, high = self.output_range
        return (x - low) * (2 / (high - low)) - 1

    def extra_repr(self) -> str:
        """Shape of codes, output and range."""
        parts = [f"code_shape={self.code_shape}"]
        parts += [f"output={self.output!r}"] if self.output is not None else []
        parts += [f"output_range={self.output_range}"] if self.output_range is not None else []
        return ", ".join(parts if self.origin is None else [repr(self.origin.source), *parts])


def as_generator(
    function: Callable[..., Any],
    code_shape: Sequence[int] | int | None = None,
    *,
    output: Output | None = None,
    output_range: OutputRange | None = None,
    condition: Condition | None = None,
) -> AdaptedGenerator:
    """Any callable that makes data of codes, as a module of codes `(n, d)` that every function of latentry takes.

    Args:
        function: A module or any other callable, with codes of any shape and any output.
        code_shape: Shape of one code as the function takes it: `(d,)` or `d`, `(d, 1, 1)`, `(c, h, w)`, `(layers, d)`. By
            default it is found out, from an attribute such as `latent_dim`, from the first layer, and by trial calls.
        output: Which entry of a tuple, a dict or an object holds the data. By default the only tensor there is.
        output_range: Both ends of the data as the function makes them, such as `(0, 1)`; they are then brought to [-1, 1].
            By default they keep their units.
        condition: Some rows of what a conditional generator takes along with codes, for the trial calls.

    Raises:
        ValueError: The shape of codes cannot be found out, or the function does not take such codes.

    Example:
        >>> import latentry as lt
        >>> decoder = nn.Sequential(nn.ConvTranspose2d(8, 1, 4), nn.Sigmoid())
        >>> generator = lt.as_generator(decoder, output_range=(0, 1))
        >>> generator.code_shape, generator(torch.zeros(2, 8)).shape
        ((8, 1, 1), torch.Size([2, 1, 4, 4]))
    """
    if not callable(function):
        raise ValueError(
            f"expected a callable from codes to data, got {type(function).__name__}; pass its decoder or forward"
        )
    shape = found_code_shape(function, code_shape, condition=as_condition(condition))
    return AdaptedGenerator(function, shape, output, output_range)


def _checked_range(output_range: OutputRange) -> tuple[float, float]:
    ends = tuple(float(end) for end in output_range)
    if len(ends) != 2 or not all(map(math.isfinite, ends)) or ends[0] >= ends[1]:
        raise ValueError(
            f"expected an output range of two numbers, the lower one first, got {tuple(output_range)}; "
            "write (0, 1), (0, 255) or the like"
        )
    return ends[0], ends[1]


def _outermost(modules: Sequence[nn.Module]) -> list[nn.Module]:
    """Those that are no part of another one."""
    inner = {id(part) for module in modules for part in module.modules() if part is not module}
    return [module for module in modules if id(module) not in inner]
