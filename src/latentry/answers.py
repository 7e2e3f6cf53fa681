"""What networks of other libraries give back, as the one tensor that is looked at.

Not every network returns a tensor. What is taken of other answers is written here once: the entry or attribute `logits` of
a classifier, `pooler_output` (or else `logits`) of a feature extractor, as in transformers; the only item of a list, a tuple
or a dict, as of torchvision's feature extractors; and a numpy array as the tensor that it holds. What has several items and
no such name is refused, since any choice among them could be the wrong one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from latentry.numerics.inputs import as_tensor

__all__ = ["features_of", "logits_of"]


def logits_of(answer: Any) -> Tensor:
    """The logits in what a classifier gives back.

    Raises:
        ValueError: It gives no tensor, and nothing that is known to hold one.
    """
    return _one_tensor(answer, "classifier", ("logits",))


def features_of(answer: Any) -> Tensor:
    """The features in what a feature extractor gives back; raises as `logits_of`."""
    return _one_tensor(answer, "feature extractor", ("pooler_output", "logits"))


def _one_tensor(answer: Any, who: str, names: Sequence[str]) -> Tensor:
    if isinstance(answer, Tensor):
        return answer
    if hasattr(answer, "__array__"):
        return as_tensor(f"the answer of the {who}", answer)
    for name in names:
        held = answer.get(name) if isinstance(answer, Mapping) else getattr(answer, name, None)
        if isinstance(held, Tensor):
            return held
    items = list(answer.values() if isinstance(answer, Mapping) else answer) if _is_nest(answer) else []
    if len(items) == 1 and isinstance(items[0], Tensor):
        return items[0]
    held = f" of {', '.join(map(str, answer)) if isinstance(answer, Mapping) else f'{len(items)} items'}" if items else ""
    raise ValueError(
        f"expected the {who} to return a tensor, or something with {' or '.join(names)}, got {type(answer).__name__}{held}; "
        "wrap it in a lambda that takes what is meant, such as lambda x: network(x)[0]"
    )


def _is_nest(answer: Any) -> bool:
    return isinstance(answer, Mapping | list | tuple)
