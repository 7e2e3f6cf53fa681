"""What classes are called. Labels of two models, or of a model and data, are compared by these names, never by number."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from latentry.data.idx import FASHION
from latentry.models.pretrained import model_folder
from latentry.names import printable
from latentry.storage import read_json

__all__ = ["Reordered", "column_order", "label_index", "label_names", "listed"]

_LISTED = 20
"""Most classes that a message names."""


def label_names(name_or_path: str, count: int) -> tuple[str, ...]:
    """What the classes of a saved model are called: as its data called them, or by their numbers where they have no names.

    Args:
        name_or_path: A shipped model by name, or the folder of one of your own.
        count: How many classes it has.
    """
    file = model_folder(name_or_path) / "config.json"
    data = read_json(file).get("card", {}).get("data", {}) if file.is_file() else {}
    names = tuple(map(str, data.get("class_names", ())))
    if not names and str(data.get("name", "")).startswith("fashion-mnist"):  # of a card that is older than names on cards
        names = FASHION
    return names if len(names) == count else tuple(map(str, range(count)))


def label_index(name: str, names: Sequence[str], flag: str, owner: str) -> int:
    """The number of the class of this name.

    Args:
        name: A class name, or what stands in its place.
        names: Names of the classes, in their order.
        flag: The setting that holds it, such as `--label`.
        owner: What has these classes, such as "the classifier".

    Raises:
        ValueError: There is no class of this name; the message lists those that there are.

    Example:
        >>> label_index("10", ("1", "2", "10"), "--label", "the classifier")
        2
    """
    if name.strip() in names:
        return names.index(name.strip())
    raise ValueError(f"expected {flag} with a class of {owner}, got {printable(name.strip())!r}; it has {listed(names)}")


def listed(names: Sequence[str]) -> str:
    """Class names with commas between, the first ones of many.

    Example:
        >>> listed(("cat", "dog"))
        'cat, dog'
    """
    more = f", ... ({len(names)} in all)" if len(names) > _LISTED else ""
    return ", ".join(printable(name, 40) for name in names[:_LISTED]) + more


def column_order(names: Sequence[str], wanted: Sequence[str]) -> list[int] | None:
    """Where the classes `wanted` stand among `names`, then those that are not wanted; None where one is missing.

    Example:
        >>> column_order(("a", "b", "c"), ("c", "a"))
        [2, 0, 1]
        >>> column_order(("a", "b", "c"), ("c", "three")) is None
        True
    """
    if not set(wanted) <= set(names):
        return None
    first = [names.index(name) for name in wanted]
    return first + [index for index in range(len(names)) if index not in first]


class Reordered(nn.Module):
    """A classifier whose logits come in another order of the classes.

    Args:
        network: Images to logits.
        order: Number of the class that comes first, second, ...
    """

    def __init__(self, network: nn.Module, order: Sequence[int]) -> None:
        super().__init__()
        self.network, self.order = network, list(order)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Logits in the new order."""
        logits: Tensor = self.network(x)
        return logits.index_select(1, torch.tensor(self.order, device=logits.device))
