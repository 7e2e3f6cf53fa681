import pytest
import torch

from latentry.data import digits, load_dataset

DATA = load_dataset("painted-digits")


def test_they_have_the_classes_and_splits_of_the_plain_digits() -> None:
    plain = digits()
    assert DATA.shape == (3, 64, 64)
    assert DATA.labels.equal(plain.labels)
    assert all(DATA.splits[name].equal(items) for name, items in plain.splits.items())


def test_a_picture_is_the_same_however_and_whenever_it_is_read() -> None:
    again = load_dataset("painted-digits")
    together = DATA.images([5, 9000, 17])
    assert together.equal(again.images([5, 9000, 17]))
    assert together[1:2].equal(again.images([9000]))


def test_ink_and_ground_lie_in_different_halves_of_the_range() -> None:
    """Where ink covers a pixel wholly, all its channels lie on the other side of the middle than the ground's."""
    x = DATA.images(range(200))
    corner = x[:, :, 0, 0]  # a digit is moved by less than its margin
    ends = torch.stack([x.amin((2, 3)), x.amax((2, 3))])
    dark = (corner < 0.01).all(1)
    bright = (corner > -0.01).all(1)
    assert (dark | bright).all()
    assert 60 < dark.sum() < 140
    reached = torch.where(dark[:, None], ends[1] > -0.01, ends[0] < 0.01)
    assert reached.all(1).float().mean() > 0.9  # thin strokes may cover no pixel wholly


def test_pictures_differ_in_colour_place_and_size() -> None:
    x = DATA.images(range(100))
    assert (x.std(0) > 0.2).all()
    assert (x[:, 0] - x[:, 2]).abs().mean() > 0.1


@pytest.mark.parametrize(("image_size", "channels", "shape"), [(32, None, (3, 32, 32)), (None, 1, (1, 64, 64))])
def test_they_come_in_other_sizes_and_in_grey(
    image_size: int | None, channels: int | None, shape: tuple[int, int, int]
) -> None:
    data = load_dataset("painted-digits", image_size=image_size, channels=channels)
    assert data.shape == shape
    assert data.images([1, 2]).shape == (2, *shape)
