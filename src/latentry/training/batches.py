"""Which items each step sees: a pure function of seed and step, so that a resumed run sees what the first would have."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch.utils.data import DataLoader, Sampler

__all__ = ["BatchSource", "ShuffledBatches", "batch_loader"]


@runtime_checkable
class BatchSource(Protocol):
    """Data that hands out many items at once, as `torch.utils.data` fetches them."""

    def __len__(self) -> int: ...

    def __getitems__(self, indices: Sequence[int]) -> Any:
        """The batch of these items."""


class ShuffledBatches(Sampler[list[int]]):
    """Endless batches of indices; each epoch is a fresh permutation, an incomplete last batch is left out.

    Args:
        size: Number of items.
        batch_size: Items of one step over all processes together.
        seed: Seed of the permutations.
        start: Step to begin with.
        rank, processes: This process takes every `processes`-th index of a batch, from `rank` on.

    Raises:
        ValueError: There are fewer items than one batch holds, or a batch is not divisible by the processes.
    """

    def __init__(self, size: int, batch_size: int, seed: int, start: int = 0, rank: int = 0, processes: int = 1) -> None:
        if size < batch_size:
            raise ValueError(f"expected at least one batch of {batch_size} items, got {size}; lower batch_size")
        if batch_size % processes:
            raise ValueError(f"expected a batch_size divisible by {processes} processes, got {batch_size}")
        self.size, self.batch_size, self.seed, self.start = size, batch_size, seed, start
        self.rank, self.processes = rank, processes

    def __iter__(self) -> Iterator[list[int]]:
        step, steps_per_epoch = self.start, self.size // self.batch_size
        while True:
            epoch, first = divmod(step, steps_per_epoch)
            order = torch.randperm(self.size, generator=torch.Generator().manual_seed(self.seed * 1_000_003 + epoch))
            for position in range(first, steps_per_epoch):
                batch = order[position * self.batch_size : (position + 1) * self.batch_size]
                yield batch[self.rank :: self.processes].tolist()
                step += 1


def batch_loader(data: BatchSource, batches: ShuffledBatches, workers: int) -> DataLoader[Any]:
    """Batches of `data` in the order of `batches`, read ahead by `workers` processes if any."""
    return DataLoader(
        data,  # type: ignore[arg-type]
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=_as_it_is,
        generator=torch.Generator().manual_seed(batches.seed),  # else it draws from the global one, and a resume shows
    )


def _as_it_is(batch: Any) -> Any:
    return batch
