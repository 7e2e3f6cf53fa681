"""The fixed splits train, validation and held-out: published ones are kept, missing ones are taken from train.

A cut is stratified and seeded, so that it depends on nothing but the labels in their order. A single missing split takes a
twelfth of train (5,000 of 60,000 items); where only train is known, validation and held-out take a tenth each.
"""

from collections.abc import Iterable, Mapping, Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from latentry.data.images import SPLITS

__all__ = ["complete_splits", "split_members", "split_name", "stratified_parts"]

SEED = 2019
DIVISORS = {1: 12, 2: 10}
ALIASES = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid", "dev"),
    "held-out": ("held-out", "held_out", "heldout", "test", "testing"),
}


def split_name(word: str) -> str | None:
    """The split that a word such as `val` or `test` stands for, in any case; None for other words."""
    return next((name for name, words in ALIASES.items() if word.strip().lower() in words), None)


def split_members(words: Iterable[str], source: str) -> dict[str, Tensor]:
    """Item numbers of each split, from one word per item.

    Raises:
        ValueError: A word stands for no split; the message names `source`.
    """
    members: dict[str, list[int]] = {}
    for item, word in enumerate(words):
        name = split_name(word)
        if name is None:
            raise ValueError(f"expected a split among {list(SPLITS)} in {source}, got {word!r} for item {item}; correct it")
        members.setdefault(name, []).append(item)
    return {name: torch.tensor(members[name]) for name in SPLITS if name in members}


def stratified_parts(y: Int[Tensor, "n"], sizes: Sequence[int], rng: torch.Generator) -> tuple[Tensor, ...]:
    """Positions of the members of each part, sorted; every label is shared out in proportion.

    Items are ranked within their label in random order and dealt by that rank, so that the parts have exactly the requested
    sizes and each label's share differs from proportion by about one item at most.

    Raises:
        ValueError: The sizes do not sum to the number of items.
    """
    if sum(sizes) != len(y):
        raise ValueError(f"expected sizes that sum to {len(y)}, got {list(sizes)}; size the first part by what is left")
    shuffled = torch.randperm(len(y), generator=rng)
    by_label = shuffled[y[shuffled].argsort(stable=True)]
    counts = torch.unique_consecutive(y[by_label], return_counts=True)[1].tolist()
    ranks = [(torch.arange(count, dtype=torch.float64) + 0.5) / count for count in counts]
    rank = torch.cat([torch.empty(0, dtype=torch.float64), *ranks])
    ties = torch.randperm(len(y), generator=rng)  # equal ranks of several labels are dealt in random order
    order = by_label[ties][rank[ties].argsort(stable=True)]
    return tuple(part.sort().values for part in torch.split_with_sizes(order, list(sizes)))


def complete_splits(published: Mapping[str, Tensor], y: Int[Tensor, "n"]) -> dict[str, Tensor]:
    """The published splits, and those missing cut out of train, stratified by `y`; all items are train if none is published.

    Published splits without train have nothing to cut from and stay as they are.
    """
    splits = dict(published) or {"train": torch.arange(len(y))}
    missing = [name for name in SPLITS if name not in splits]
    if missing and "train" in splits:
        train = splits["train"]
        size = round(len(train) / DIVISORS[len(missing)])
        sizes = [len(train) - size * len(missing), *[size] * len(missing)]
        parts = stratified_parts(y[train], sizes, torch.Generator().manual_seed(SEED))
        splits |= {name: train[part] for name, part in zip(["train", *missing], parts, strict=True)}
    return {name: splits[name] for name in SPLITS if name in splits}
