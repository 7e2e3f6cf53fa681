"""Statistics of samples in a stream: moments of all rows, a random choice of rows, and a hash of the data.

Rows are checked here too: that they are numbers, in the range of those that they are compared with, with finite features.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from latentry.evaluation.extractor import Extraction, Extractor
from latentry.holding import Condition, Watched
from latentry.holding.conditions import rows_at
from latentry.numerics.class_score import score_terms
from latentry.numerics.data_range import check_same_range
from latentry.numerics.inputs import as_tensor
from latentry.numerics.moments import Moments, merge_all, merge_moments, moments

__all__ = ["GatheredSample", "SampleSource", "all_moments", "batches_of", "gather", "is_constant"]

SampleSource = Tensor | Iterable[Any] | Callable[..., Tensor]
"""All rows at once, batches of rows, or a sampler of the requested number of rows, and of a condition if there is one."""
_LOOKED_AT = 64
"""Rows of each sample by which its range is known."""


@dataclass
class GatheredSample:
    """What is kept of one sample while it streams by."""

    name: str
    blocks: list[Moments | None]
    compared: Tensor | None = None
    """First rows of the sample that this one is compared with."""
    first: Tensor = field(default_factory=lambda: torch.empty(0, 1))
    """First rows, by which the range is known."""
    rows: Tensor = field(default_factory=lambda: torch.empty(0))
    keys: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.float64))
    terms: Moments | None = None
    count: int = 0
    digest: Any = field(default_factory=hashlib.sha256)

    def add(self, x: Tensor, extraction: Extraction, max_rows: int, rng: torch.Generator) -> None:
        features = extraction.features.detach()
        for block in range(len(self.blocks)):  # row i belongs to block i mod g, so that ordered data fall into all blocks
            mine = features[(block - self.count) % len(self.blocks) :: len(self.blocks)]
            if len(mine):
                self.blocks[block] = _joined(self.blocks[block], moments(mine))
        if extraction.probabilities is not None:
            self.terms = _joined(self.terms, moments(score_terms(extraction.probabilities)))
        self._keep(features, max_rows, rng)
        self.digest.update(f"{x.dtype} {tuple(x.shape[1:])};".encode() if self.count == 0 else b"")
        self.digest.update(x.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        self.count += len(features)

    def _keep(self, features: Tensor, max_rows: int, rng: torch.Generator) -> None:
        """The rows with the smallest random keys: at any time a random choice among all that came by."""
        keys = torch.cat([self.keys, torch.rand(len(features), generator=rng, dtype=torch.float64)])
        rows = features if self.count == 0 else torch.cat([self.rows, features])
        if len(keys) > max_rows:
            chosen = keys.topk(max_rows, largest=False).indices.sort().values
            keys, rows = keys[chosen], rows[chosen.to(rows.device)]
        self.keys, self.rows = keys, rows


def _joined(a: Moments | None, b: Moments) -> Moments:
    return b if a is None else merge_moments(a, b)


def batches_of(
    name: str, source: SampleSource, count: int, batch_size: int, condition: Condition | None = None
) -> Iterator[Tensor]:
    """Batches of samples that are given as a tensor, as batches, or by a sampler that makes the requested number.

    Args:
        name: What to call them in messages.
        source: The samples.
        count: Rows requested from a sampler.
        batch_size: Rows of a batch at most.
        condition: What a sampler takes along with the number of rows, `count` rows.

    Raises:
        ValueError: They are none of these, or there is a condition and no sampler.

    Example:
        >>> [len(batch) for batch in batches_of("generated", lambda n: torch.zeros(n, 2), count=5, batch_size=2)]
        [2, 2, 1]
    """
    rows_given = isinstance(source, Tensor) or hasattr(source, "__array__") or _is_of_numbers(source)
    if condition is not None and (rows_given or not callable(source)):
        raise ValueError(
            f"expected a sampler of {name} samples along with a condition, got {type(source).__name__}; pass (n, condition) "
            "-> samples, or leave condition out"
        )
    if rows_given:
        yield from as_tensor(f"{name} samples", source).split(batch_size)
    elif callable(source):
        for start in range(0, count, batch_size):
            size = min(batch_size, count - start)
            with torch.no_grad():
                batch = source(*_arguments(size, rows_at(condition, slice(start, start + size))))
            if hasattr(batch, "__array__"):
                batch = as_tensor(f"{name} samples", batch)
            if not isinstance(batch, Tensor) or batch.ndim == 0 or len(batch) != size:
                rows = isinstance(batch, Tensor) and batch.ndim > 0
                got = f"{len(batch)} rows" if rows else type(batch).__name__
                raise ValueError(f"expected {size} {name} rows from the sampler, got {got}; it is called with their number")
            yield batch
    else:
        if not isinstance(source, Iterable) or isinstance(source, str | bytes | Mapping):
            raise ValueError(
                f"expected {name} samples as a tensor, batches, or a sampler of as many as are requested, got "
                f"{type(source).__name__}; pass a tensor (n, *data_shape)"
            )
        for batch in source:
            if not (isinstance(batch, Tensor) or hasattr(batch, "__array__")):
                raise ValueError(
                    f"expected batches of {name} samples as tensors, got {type(batch).__name__}; "
                    "pass (x for x, y in batches) if labels come along"
                )
            yield from as_tensor(f"batches of {name} samples", batch).split(batch_size)


def _arguments(size: int, condition: Condition | None) -> tuple[Any, ...]:
    return (size,) if condition is None else (size, condition)


def _is_of_numbers(source: Any) -> bool:
    """Whether it is a nested list of numbers: the rows themselves, and no batches of them."""
    while isinstance(source, list | tuple) and source:
        source = source[0]
    return isinstance(source, int | float)


def gather(
    side: GatheredSample, batches: Iterator[Tensor], extractor: Extractor, max_rows: int, rng: torch.Generator
) -> GatheredSample:
    """The sample, with what its batches add to it.

    Raises:
        ValueError: Rows or their features are not such as can be compared.
    """
    extract = Watched(extractor.extract)
    for x in batches:
        if len(x) == 0:
            continue
        _check_samples(x, side)
        extraction: Extraction = extract(x)
        features = extraction.features
        if features.ndim != 2 or len(features) != len(x) or not features.is_floating_point():
            raise ValueError(
                f"expected floating-point features of shape ({len(x)}, k), got {features.dtype} of {tuple(features.shape)}; "
                "flatten them in the extractor"
            )
        if not features.isfinite().all():
            raise ValueError(
                f"expected finite features of {side.name} samples, got NaN or infinity in rows "
                f"{_bad_rows(features, side.count)}; check the range of the samples and the extractor"
            )
        side.add(x, extraction, max_rows, rng)
    return side


def _check_samples(x: Tensor, side: GatheredSample) -> None:
    """Make sure that samples are numbers in the range of those that they are compared with."""
    if x.ndim < 2 or x.is_complex() or x.dtype == torch.bool:
        raise ValueError(
            f"expected {side.name} samples of shape (n, *data_shape), got {x.dtype} of {tuple(x.shape)}; "
            "the first axis counts samples"
        )
    if not x.isfinite().all():
        raise ValueError(f"expected finite {side.name} samples, got NaN or infinity in rows {_bad_rows(x, side.count)}")
    missing = _LOOKED_AT - len(side.first)
    if side.count > 0 and (missing <= 0 or (x.dtype, x.shape[1:]) != (side.first.dtype, side.first.shape[1:])):
        return
    first = x[:_LOOKED_AT] if side.count == 0 else torch.cat([side.first, x[:missing]])
    side.first = first.detach()
    if side.compared is not None:
        check_same_range(side.compared, side.first)


def _bad_rows(x: Tensor, start: int) -> str:
    rows = (start + (~x.isfinite()).flatten(1).any(1).nonzero().flatten()).tolist()
    return ", ".join(map(str, rows[:5])) + (f" and {len(rows) - 5} more" if len(rows) > 5 else "")


def all_moments(side: GatheredSample) -> Moments:
    """Moments of the features of all rows."""
    return merge_all(block for block in side.blocks if block is not None)


def is_constant(side: GatheredSample) -> bool:
    """Whether all features are equal, but for rounding."""
    gathered = all_moments(side)
    eps = torch.finfo(side.rows.dtype).eps
    return bool(gathered.scatter.trace() <= gathered.count * (eps * gathered.mean).square().sum())
