"""Outputs of networks of other libraries, converted to one tensor.

Not every network returns a tensor. What is taken of other outputs is written here once: the entry or attribute `logits` of a
classifier, `pooler_output` (or else `logits`) of a feature extractor, as in transformers; the only item of a list, a tuple
or a dict, as of torchvision's feature extractors; and a numpy array as the tensor that it holds. What has several items and
no such name is refused, since any choice among them could be the wrong one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from latentry.numerics.inputs import as_tensor

__all__ = ["features_of", "logits_of"]


def logits_of(output: Any) -> Tensor:
    """The logits in what a classifier gives back.

    Raises:
        ValueError: It gives no tensor, and nothing that is known to hold one.
    """
    return _one_tensor(output, "classifier", ("logits",))


def features_of(output: Any) -> Tensor:
    """The features in what a feature extractor gives back; raises as `logits_of`."""
    return _one_tensor(output, "feature extractor", ("pooler_output", "logits"))


def _one_tensor(output: Any, who: str, names: Sequence[str]) -> Tensor:
    if isinstance(output, Tensor):
        return output
    if hasattr(output, "__array__"):
        return as_tensor(f"the output of the {who}", output)
    for name in names:
        entry = output.get(name) if isinstance(output, Mapping) else getattr(output, name, None)
        if isinstance(entry, Tensor):
            return entry
    items = list(output.values() if isinstance(output, Mapping) else output) if _is_nest(output) else []
    if len(items) == 1 and isinstance(items[0], Tensor):
        return items[0]
    contents = (
        f" of {', '.join(map(str, output)) if isinstance(output, Mapping) else f'{len(items)} items'}" if items else ""
    )
    raise ValueError(
        f"expected the {who} to return a tensor, or something with {' or '.join(names)}, got "
        f"{type(output).__name__}{contents}; "
        "wrap it in a lambda that takes what is meant, such as lambda x: network(x)[0]"
    )


def _is_nest(output: Any) -> bool:
    return isinstance(output, Mapping | list | tuple)
