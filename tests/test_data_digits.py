import torch

from latentry.data import digits

DATA = digits()


def test_splits_share_no_digit_and_hold_every_class_in_proportion() -> None:
    assert {name: len(items) for name, items in DATA.splits.items()} == {"train": 8000, "validation": 1000, "held-out": 1000}
    assert torch.cat(list(DATA.splits.values())).sort().values.equal(torch.arange(10_000))
    counts = torch.stack([DATA.split(name).labels.bincount() / len(DATA.splits[name]) for name in DATA.splits])
    assert (counts - counts.mean(0)).abs().max() < 0.001


def test_digits_are_white_on_black() -> None:
    x = DATA.images()
    assert (x.shape, x.min().item(), x.max().item()) == ((10_000, 1, 28, 28), -1.0, 1.0)
    assert x.mean() < -0.5


def test_digits_come_in_any_size_and_in_colour() -> None:
    x = digits(image_size=14, channels=3).images([3])
    assert x.shape == (1, 3, 14, 14)
    assert x[:, 0].equal(x[:, 2])
