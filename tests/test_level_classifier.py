"""Readers of levels: heads that agree with torch's losses, and a network that reads what is drawn."""

import math
from pathlib import Path

import pytest
import torch
from accelerate.accelerator import Accelerator
from torch.nn.functional import cross_entropy
from torch.testing import assert_close

from latentry.models.level_classifier import LevelClassifierTraining, LevelHeads, predict_levels
from latentry.networks import PlainClassifier
from latentry.training.loop import train
from latentry.training.settings import LoopSettings

HEADS = LevelHeads(("cat", "thick", "dog", "slanted"), ("cat", "dog"))


def test_the_loss_is_the_sum_of_what_each_head_misses() -> None:
    logits = torch.randn(4, HEADS.outputs, dtype=torch.float64)
    a = torch.tensor([[1.0, -1, 0, 0], [0, 0, 1, 1], [1, 1, 0, -1], [0, 0, 1, 0]], dtype=torch.float64)
    assert HEADS.outputs == 8
    expected = (
        cross_entropy(logits[:, :3], torch.tensor([0, 1, 2, 1]))
        + cross_entropy(logits[:, 3:6], torch.tensor([1, 2, 0, 1]))
        + cross_entropy(logits[:, 6:], torch.tensor([0, 1, 0, 1]))
    )
    assert_close(HEADS.loss(logits, a), expected)


def test_what_is_unknown_teaches_nothing() -> None:
    logits = torch.randn(2, HEADS.outputs, requires_grad=True)
    nan = math.nan
    a = torch.tensor([[nan, -1.0, nan, nan], [nan, nan, nan, nan]])
    loss = HEADS.loss(logits, a)
    assert_close(loss, cross_entropy(logits[:1, :3], torch.tensor([0])))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert not gradient[1].any()
    assert not gradient[0, 3:].any()
    assert HEADS.loss(logits, torch.full_like(a, nan)) == 0


def test_levels_are_what_the_logits_favour() -> None:
    logits = torch.tensor([[0.0, 0, 9, 9, 0, 0, 0, 9]])
    assert_close(HEADS.levels(logits), torch.tensor([[0.0, 1, 1, -1]]))
    right = HEADS.right(HEADS.levels(logits), torch.tensor([[0.0, 0, 1, -1]]))
    assert {name: found.tolist() for name, found in right.items()} == {"thick": [False], "slanted": [True], "class": [True]}
    assert_close(HEADS.log_odds(logits, "thick"), torch.tensor([9.0]))
    assert_close(HEADS.log_odds(logits, "slanted"), torch.tensor([0.0]))


class Bars:
    """An upright or a lying bar of width 2, 4 or 6."""

    def __init__(self) -> None:
        self.a = torch.cartesian_prod(torch.tensor([-1.0, 0.0, 1.0]), torch.tensor([0.0, 1.0])).repeat(20, 1)
        self.a = torch.cat([self.a[:, :1], 1 - self.a[:, 1:], self.a[:, 1:]], 1)
        self.x = torch.full((len(self.a), 1, 16, 16), -1.0)
        for x, (wide, _, lying) in zip(self.x, self.a.tolist(), strict=True):
            half = int(wide) + 2
            strip = x[:, 8 - half : 8 + half, 2:14] if lying else x[:, 2:14, 8 - half : 8 + half]
            strip.fill_(1.0)

    def __len__(self) -> int:
        return len(self.a)

    def __getitems__(self, rows: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        return self.x[rows], self.a[rows]


@pytest.mark.parametrize("shift", [0.0, 0.05])
def test_a_level_classifier_reads_what_is_drawn(shift: float, tmp_path: Path) -> None:
    torch.manual_seed(0)
    heads, bars = LevelHeads(("wide", "up", "lying"), ("up", "lying")), Bars()
    model = LevelClassifierTraining(PlainClassifier(heads.outputs, 1, 4), heads, learning_rate=1e-2, shift=shift, ema=0.8)
    loop = LoopSettings(60, 30, checkpoint_every=60)
    train(model, bars, loop, tmp_path, seed=0, accelerator=Accelerator(cpu=True), identity={}, progress=max)
    assert_close(predict_levels(model.averaged_network(bars.x), heads, bars.x), bars.a)
