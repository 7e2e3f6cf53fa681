"""Rows in and out of a dataclass of tensors."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from latentry.latent.solvers.rows import choose, join, put, take


@dataclass(frozen=True)
class Pair:
    number: Tensor
    table: Tensor


def pair(*numbers: int) -> Pair:
    number = torch.tensor(numbers)
    return Pair(number, number[:, None].repeat(1, 2) * 10)


def same(first: Pair, second: Pair) -> bool:
    return torch.equal(first.number, second.number) and torch.equal(first.table, second.table)


@pytest.mark.parametrize(
    ("index", "expected"),
    [(torch.tensor([2, 0]), pair(7, 5)), (slice(1, 3), pair(6, 7)), (torch.tensor([True, False, True]), pair(5, 7))],
    ids=["numbers", "slice", "mask"],
)
def test_taken_rows_keep_all_their_fields(index: Tensor | slice, expected: Pair) -> None:
    assert same(take(pair(5, 6, 7), index), expected)


def test_joined_rows_come_one_after_the_other() -> None:
    assert same(join(pair(5, 6), pair(7)), pair(5, 6, 7))


def test_rows_put_back_where_they_were_taken_change_nothing() -> None:
    rows, index = pair(5, 6, 7), torch.tensor([2, 0])
    assert same(put(rows, index, take(rows, index)), rows)
    assert same(put(rows, index, pair(1, 2)), pair(2, 6, 1))
    assert same(rows, pair(5, 6, 7))  # what was given stays


def test_choosing_goes_row_by_row_whatever_the_shape() -> None:
    where = torch.tensor([True, False])
    for shape in ((2,), (2, 3), (2, 3, 4)):
        chosen = choose(where, torch.ones(shape), torch.zeros(shape))
        assert torch.equal(chosen[0], torch.ones(shape)[0])
        assert torch.equal(chosen[1], torch.zeros(shape)[1])
