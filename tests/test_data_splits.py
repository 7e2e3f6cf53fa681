import pytest
import torch

from latentry.data.splits import complete_splits, split_members, split_name, stratified_parts

COUNTS = (600, 300, 60, 7, 1)
Y = torch.repeat_interleave(torch.arange(5), torch.tensor(COUNTS))


def test_parts_have_the_sizes_asked_for_and_share_no_item(rng: torch.Generator) -> None:
    parts = stratified_parts(Y, [700, 168, 100], rng)
    assert [len(part) for part in parts] == [700, 168, 100]
    assert torch.cat(parts).sort().values.equal(torch.arange(len(Y)))


@pytest.mark.parametrize("seed", range(20))
def test_every_label_is_shared_out_in_proportion(seed: int) -> None:
    sizes = [700, 168, 100]
    parts = stratified_parts(Y, sizes, torch.Generator().manual_seed(seed))
    for part, size in zip(parts, sizes, strict=True):
        expected = torch.tensor(COUNTS) * size / len(Y)
        assert (Y[part].bincount(minlength=5) - expected).abs().max() < 2


def test_equal_classes_stay_equal(rng: torch.Generator) -> None:
    parts = stratified_parts(torch.arange(10).repeat(100), [800, 100, 100], rng)
    assert [part.remainder(10).bincount().tolist() for part in parts] == [[80] * 10, [10] * 10, [10] * 10]


def test_sizes_must_sum_to_the_number_of_items(rng: torch.Generator) -> None:
    with pytest.raises(ValueError, match=r"sum to 968, got \[1, 2\]"):
        stratified_parts(Y, [1, 2], rng)


def test_without_published_splits_a_tenth_each_is_held_back_always_alike() -> None:
    splits = complete_splits({}, Y)
    assert {name: len(items) for name, items in splits.items()} == {"train": 774, "validation": 97, "held-out": 97}
    assert all(items.equal(complete_splits({}, Y)[name]) for name, items in splits.items())


def test_one_missing_split_takes_a_twelfth_of_train_and_leaves_the_published_one_alone() -> None:
    published = {"train": torch.arange(60), "held-out": torch.arange(60, 70)}
    splits = complete_splits(published, torch.zeros(70, dtype=torch.int64))
    assert [len(items) for items in splits.values()] == [55, 5, 10]
    assert splits["held-out"].equal(published["held-out"])
    assert torch.cat(list(splits.values())).sort().values.equal(torch.arange(70))


def test_splits_without_train_stay_as_published() -> None:
    assert list(complete_splits({"held-out": torch.arange(3)}, torch.zeros(3, dtype=torch.int64))) == ["held-out"]


@pytest.mark.parametrize(("word", "name"), [("Val", "validation"), ("test", "held-out"), ("train", "train"), ("cats", None)])
def test_splits_are_known_by_their_usual_names(word: str, name: str | None) -> None:
    assert split_name(word) == name


def test_an_unknown_split_is_named() -> None:
    with pytest.raises(ValueError, match="'tain' for item 1"):
        split_members(["train", "tain"], "labels.csv")
