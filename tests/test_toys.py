"""Toy data in the plane."""

import torch

from latentry.data.toys import LabelledPoints, three_moons


def test_moons_are_balanced_and_lie_about_zero(rng: torch.Generator) -> None:
    moons = three_moons(3000, rng)
    assert moons.y.bincount().tolist() == [1000] * 3
    assert moons.x.mean(0).abs().max() < 0.1
    assert moons.x.abs().max() < 3


def test_points_come_in_batches_with_their_labels() -> None:
    points = LabelledPoints(torch.arange(8.0).view(4, 2), torch.arange(4))
    x, y = points.__getitems__([3, 0])
    assert len(points) == 4
    assert x.tolist() == [[6.0, 7.0], [0.0, 1.0]]
    assert y.tolist() == [3, 0]
