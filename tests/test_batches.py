"""Epochs are permutations, steps are a function of the seed, and processes share each batch without overlap."""

import itertools

import pytest
import torch
from torch import Tensor

from latentry.training.batches import BatchSource, ShuffledBatches, batch_loader


class Squares:
    """Item i is i squared."""

    def __len__(self) -> int:
        return 20

    def __getitems__(self, indices: list[int]) -> tuple[Tensor]:
        return (torch.tensor(indices).square(),)


def first(batches: ShuffledBatches, count: int) -> list[list[int]]:
    return list(itertools.islice(batches, count))


def joined(batches: list[list[int]]) -> list[int]:
    return list(itertools.chain.from_iterable(batches))


@pytest.mark.parametrize("batch_size", [1, 4, 20])
def test_each_epoch_is_a_permutation_of_its_own(batch_size: int) -> None:
    steps = 20 // batch_size
    batches = first(ShuffledBatches(20, batch_size, seed=1), 3 * steps)
    epochs = [joined(batches[k * steps : (k + 1) * steps]) for k in range(3)]
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]


def test_an_incomplete_last_batch_is_left_out() -> None:
    batches = first(ShuffledBatches(20, 6, seed=1), 30)
    assert all(len(set(batch)) == 6 for batch in batches)
    for k in range(0, 30, 3):
        assert len(set(joined(batches[k : k + 3]))) == 18
    assert set(joined(batches)) == set(range(20))  # none is left out for ever


@pytest.mark.parametrize("start", [0, 1, 4, 5, 6, 13])
def test_resuming_at_a_step_gives_the_same_continuation(start: int) -> None:
    whole = first(ShuffledBatches(20, 4, seed=2), 20)
    assert first(ShuffledBatches(20, 4, seed=2, start=start), 20 - start) == whole[start:]


def test_order_is_a_function_of_the_seed_alone() -> None:
    batches = ShuffledBatches(20, 4, seed=3)
    state = torch.get_rng_state()
    once = first(batches, 7)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(99)
    assert first(batches, 7) == once
    assert first(ShuffledBatches(20, 4, seed=4), 7) != once


@pytest.mark.parametrize("processes", [2, 3, 6])
def test_shares_of_the_processes_are_disjoint_and_together_the_batch(processes: int) -> None:
    whole = first(ShuffledBatches(20, 6, seed=5, start=2), 8)
    shares = [first(ShuffledBatches(20, 6, 5, 2, rank, processes), 8) for rank in range(processes)]
    for step, batch in enumerate(whole):
        parts = [share[step] for share in shares]
        assert {len(part) for part in parts} == {6 // processes}
        assert sorted(joined(parts)) == sorted(batch)


def test_impossible_batches_are_refused() -> None:
    with pytest.raises(ValueError, match="one batch of 21 items, got 20"):
        ShuffledBatches(20, 21, seed=0)
    with pytest.raises(ValueError, match="divisible by 4 processes, got 6"):
        ShuffledBatches(20, 6, seed=0, processes=4)


@pytest.mark.parametrize("workers", [0, 1])
def test_the_loader_hands_out_whole_batches_in_order(workers: int) -> None:
    assert isinstance(Squares(), BatchSource)
    batches = ShuffledBatches(20, 4, seed=6)
    loaded = list(itertools.islice(batch_loader(Squares(), batches, workers), 6))
    assert [part.tolist() for (part,) in loaded] == [[i * i for i in batch] for batch in first(batches, 6)]


def test_loading_leaves_the_global_random_state_alone() -> None:
    state = torch.get_rng_state()
    next(iter(batch_loader(Squares(), ShuffledBatches(20, 4, seed=6), workers=0)))
    assert torch.equal(torch.get_rng_state(), state)
