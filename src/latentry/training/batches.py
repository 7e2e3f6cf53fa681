"""Batches as a pure function of seed and step, so that a resumed run sees the same data."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Int, Shaped
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from latentry.storage import fingerprint

__all__ = [
    "BatchSource",
    "LabelledData",
    "ShuffledBatches",
    "TensorData",
    "TrainingData",
    "batch_loader",
    "square_images",
    "training_data",
]


@runtime_checkable
class BatchSource(Protocol):
    """Data that hands out many items at once, as `torch.utils.data` fetches them."""

    def __len__(self) -> int: ...

    def __getitems__(self, indices: Sequence[int]) -> Any:
        """The batch of these items."""


@runtime_checkable
class TrainingData(BatchSource, Protocol):
    """Data that a `fit_...` function learns from: batches `(x, y)`, and a hash that a resumed run knows them by."""

    def fingerprint(self) -> str:
        """Hash of all items."""


@runtime_checkable
class LabelledData(TrainingData, Protocol):
    """Training data with one class each, such as `latentry.data.LabelledImages`."""

    @property
    def labels(self) -> Int[Tensor, "n"]:
        """Class of each item, from 0 on."""

    @property
    def num_classes(self) -> int:
        """Number of classes."""


class TensorData:
    """Tensors as training data.

    Args:
        x: Data `(n, *data_shape)`.
        y: What comes with them, such as classes `(n,)` or levels `(n, k)`; zeros by default.

    Raises:
        ValueError: The tensors have different lengths.
    """

    def __init__(self, x: Shaped[Tensor, "n *s"], y: Shaped[Tensor, "m *k"] | None = None) -> None:
        self.x = x
        self.y = torch.zeros(len(x), dtype=torch.int64) if y is None else y
        if len(self.y) != len(x):
            raise ValueError(f"expected labels for each of {len(x)} data, got {len(self.y)}; pass as many")

    def __len__(self) -> int:
        return len(self.x)

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        rows = torch.as_tensor(list(indices), dtype=torch.int64)
        return self.x[rows.to(self.x.device)], self.y[rows.to(self.y.device)]

    @property
    def labels(self) -> Int[Tensor, "n"]:
        """Class of each datum, on the CPU."""
        return self.y.cpu().long()

    @property
    def num_classes(self) -> int:
        """Classes from 0 to the largest label."""
        return int(self.y.max()) + 1

    def fingerprint(self) -> str:
        """Hash of all values."""
        return fingerprint({"x": self.x, "y": self.y})


def training_data(x: Any, y: Shaped[Tensor, "m *k"] | None = None) -> Any:
    """Data to learn from: tensors, or what hands out batches itself, such as labelled images.

    Raises:
        ValueError: It is neither, or there are labels beside data that bring their own.
    """
    if isinstance(x, Tensor):
        return TensorData(x.float(), y)
    if not isinstance(x, TrainingData):
        raise ValueError(
            "expected a tensor, or data with `__len__`, `__getitems__` and `fingerprint` such as `lt.load_dataset` gives, "
            f"got {type(x).__name__}"
        )
    if y is not None:
        raise ValueError(f"expected labels along with a tensor, got them beside {type(x).__name__}, which brings its own")
    return x


def square_images(data: BatchSource) -> tuple[int, int]:
    """Side and channels of data that are square images.

    Raises:
        ValueError: They are none.
    """
    shape = tuple(data.__getitems__([0])[0].shape[1:])
    if len(shape) != 3 or shape[1] != shape[2]:
        raise ValueError(f"expected square images (n, channels, side, side), got data of shape {shape}; resize them")
    return shape[1], shape[0]


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
        collate_fn=as_it_is,
        generator=torch.Generator().manual_seed(batches.seed),  # else it draws from the global one, and a resume shows
    )


def as_it_is(batch: Any) -> Any:
    return batch
