"""What a generator promises: to be a differentiable function of each code alone."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from latentry.holding import Condition, as_condition, called, evaluated
from latentry.holding.conditions import cycled, rows_at
from latentry.interfaces import Generator, Prior
from latentry.latent.precision import dtype_of, in_dtype
from latentry.numerics.inputs import checked
from latentry.priors.adapters import draw
from latentry.testing import maps
from latentry.testing.conformance import Conformance, Finding, Question, conformance, finding, not_applicable, undisturbed
from latentry.testing.maps import GIVES, questions_of
from latentry.testing.row_map import RowMap, flags_behind

__all__ = ["check_generator"]

_TRIALS = 16
_WAYS_OUT: Mapping[str, str] = {
    maps.GIVES: "wrap it: lambda z: g(...), which gives one tensor of real numbers (n, ...) for codes (n, d)",
    maps.DEVICE: "leave .to(device) and .cpu() out, and make new tensors on z.device",
    maps.INPUT: "wrap it: lambda z: g(z.clone())",
    maps.STATE: "keep no running statistics or counters in forward, and call neither train() nor requires_grad_() there",
    maps.NEW: "leave out copy_, out= and buffers that outputs are written to",
    maps.FINITE: "look at which codes give NaN: divisions by 0, logarithms and exponentials of large numbers",
    maps.DETERMINISTIC: "switch off dropout and noise inputs, or draw their noise once and keep it",
    maps.OWN_ROW: "put batch normalisation in eval mode (pass the module itself), and take no mean over the batch",
    maps.ORDER: "give all rows the same noise, mask or position",
    maps.BATCH: "export it with dynamic_shapes, or trace it without a fixed batch",
    maps.DIFFERENT: "feed the codes to the network; one that ignores them has nothing to recover",
    maps.GRADIENT: "remove no_grad, detach, rounding, argmax and .numpy()",
    maps.DIFFERENCES: "let no straight-through rounding, detached part or backward of your own give another gradient",
    maps.FORWARD: "correct the jvp of your autograd function",
}
_DOUBLE = "computes in double precision"
_RANGE = "gives data within output_range"


@checked()
def check_generator(
    generator: Generator,
    prior: Prior,
    *,
    condition: Condition | None = None,
    output_range: tuple[float, float] | None = None,
    raises: bool = False,
) -> Conformance:
    """Look at what a generator promises, on codes of its prior.

    The modules behind it are held in eval mode with frozen parameters meanwhile, as everywhere in Latentry, and are given
    back as they were.

    Args:
        generator: Any callable z -> x, or (z, condition) -> x.
        prior: Distribution of its codes.
        condition: Some rows of what a conditional generator takes along with codes; each trial code gets one of them.
        output_range: Least and largest value that its data should have, such as (-1, 1) for images; None asks for none.
        raises: Whether a broken promise is an error.

    Raises:
        ValueError: A promise is broken, and `raises`; or the prior is none.

    Example:
        >>> import torch, latentry as lt
        >>> found = lt.testing.check_generator(lambda z: torch.rand(len(z), 3) + z.sum(), lt.priors.Normal(3))
        >>> print(found.broken[0].name)
        the same codes give the same data
    """
    rng = torch.Generator(draw(prior, (0,)).device).manual_seed(0)
    z, condition = draw(prior, (_TRIALS,), rng=rng), cycled(as_condition(condition), _TRIALS)
    with undisturbed(), evaluated(generator):
        before = flags_behind(generator)
        z = z.to(_numbers(generator, z, condition))
        finer = _finer(generator, z, condition)
        codes = RowMap(
            lambda z, at: called(generator, z, rows_at(condition, at)),
            z,
            "code",
            "codes",
            "data",
            least_axes=2,
            behind=generator,
            before=before,
            finer=None if finer is None else lambda z, at: called(finer, z, rows_at(condition, at)),
        )
        questions = [
            *questions_of(codes, dict(_WAYS_OUT)),
            Question(
                _DOUBLE,
                lambda: _double(codes),
                allows="it would lead codes to the exact minimum, and tell the rounding of data",
                needs=(codes.named(maps.DETERMINISTIC),),
            ),
            Question(
                _RANGE,
                lambda: _range(codes, output_range),
                "scale the output, or state the range that it has",
                needs=(codes.named(GIVES), codes.named(maps.FINITE)),
            ),
        ]
        return conformance(f"generator {_name(generator)}", questions, raises=raises)


def _numbers(generator: Generator, z: Tensor, condition: Condition | None) -> torch.dtype:
    """The type of the codes that it takes, as single precision at least where it is not known."""
    dtype = dtype_of(generator, z[:4], z.dtype, rows_at(condition, slice(4)))
    return dtype if dtype.itemsize >= torch.float32.itemsize else torch.float32


def _finer(generator: Generator, z: Tensor, condition: Condition | None) -> Generator | None:
    try:
        return in_dtype(generator, torch.float64, z[:4], rows_at(condition, slice(4)))
    except Exception:  # the checks report what is wrong with it
        return None


def _double(codes: RowMap) -> Finding:
    if codes.finer is None:
        return not_applicable("there is no copy of it in double precision that does the same")
    with torch.no_grad():
        exact = codes.watched(codes.few.double(), finer=True).result
    off = codes.differ(exact, codes.y.double())
    return finding(True, off, "differs by {} of the largest value, which is rounding")


def _range(codes: RowMap, output_range: tuple[float, float] | None) -> Finding:
    made = codes.all_rows()
    low, high = made.min().item(), made.max().item()
    span = f"from {low:.3g} to {high:.3g}"
    if output_range is None:
        return not_applicable(f"{span}; no output_range was stated")
    slack = 1e-3 * (output_range[1] - output_range[0])
    beyond = max(output_range[0] - low, high - output_range[1], 0.0)
    return finding(beyond <= slack, beyond, f"{span}, stated {output_range}")


def _name(function: Any) -> str:
    return str(getattr(function, "__qualname__", None) or type(function).__name__)
