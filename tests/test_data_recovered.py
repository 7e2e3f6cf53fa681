"""Shards of recovered codes: joined they are the whole, and what is missing or foreign is named."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from latentry.data.recovered import RecoveredCodes, load_codes, read_codes, shard_path, write_codes
from latentry.holding.conditions import joined, named_parts
from latentry.storage import read_metadata, read_tensors, write_tensors


def codes(number: int, count: int, **facts: str) -> RecoveredCodes:
    draw = torch.Generator().manual_seed(number)
    return RecoveredCodes(
        z=torch.randn(count, 4, generator=draw),
        reconstruction_error=torch.rand(count, generator=draw),
        met=torch.rand(count, generator=draw) > 0.5,
        converged=torch.ones(count, dtype=torch.bool),
        disagreement=torch.full((count,), torch.nan),
        evaluations=torch.arange(count),
        undetermined=torch.rand(count, generator=draw),
        p_value=torch.rand(count, generator=draw, dtype=torch.float64),
        names=tuple(f"{number}/{row}.png" for row in range(count)),
        metadata={"shard": str(number), "shards": "3", "images": f"hash {number}", "prior": "Normal(4)", **facts},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, count in enumerate((3, 3, 1)):
        write_codes(shard_path(tmp_path / "codes", number), codes(number, count))
    return tmp_path


def test_shards_joined_are_the_whole(folder: Path) -> None:
    parts = [codes(number, count) for number, count in enumerate((3, 3, 1))]
    for place in (folder, folder / "codes"):
        found = load_codes(place)
        assert len(found) == 7
        assert torch.equal(found.z, torch.cat([part.z for part in parts]))
        assert torch.equal(found.met, torch.cat([part.met for part in parts]))
        assert found.disagreement.isnan().all()
        assert found.names == sum((part.names for part in parts), ())
        assert found.metadata == {"shards": "3", "prior": "Normal(4)"}


def test_a_shard_says_what_it_is_without_its_tensors(folder: Path) -> None:
    facts = read_metadata(shard_path(folder / "codes", 1))
    assert (facts["shard"], facts["prior"]) == ("1", "Normal(4)")
    assert read_codes(shard_path(folder / "codes", 1)).metadata == codes(1, 3).metadata


def test_missing_and_foreign_shards_are_named(folder: Path, tmp_path: Path) -> None:
    last = shard_path(folder / "codes", 2)
    whole = read_codes(last)
    last.unlink()
    with pytest.raises(ValueError, match=r"expected 3 shards.*found 2.*goes on"):
        load_codes(folder)
    write_codes(last, replace(whole, metadata={**whole.metadata, "prior": "Uniform(4)"}))
    with pytest.raises(ValueError, match="one recovery"):
        load_codes(folder)
    write_tensors(last, {"z": whole.z})
    with pytest.raises(ValueError, match=r"lacks reconstruction_error.*names"):
        read_codes(last)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="found none"):
        load_codes(tmp_path / "empty")


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("z", torch.ones(5, 4), "3 rows, one for each name, .*, got shape \\(5, 4\\)"),
        ("z", torch.ones(3), "expected 2 dimension.* of z"),
        ("z", torch.ones(3, 4, dtype=torch.int64), "expected real numbers as z in .*, got torch.int64"),
        ("z", torch.tensor([[1.0, torch.nan]] * 3), "expected finite codes in"),
        ("z", torch.tensor([[1.0, torch.inf]] * 3), "expected finite codes in"),
        ("met", torch.ones(3), "expected bool numbers as met"),
        ("met", torch.ones(2, dtype=torch.bool), "3 rows"),
        ("evaluations", torch.ones(3), "expected torch.int64 numbers as evaluations"),
        ("p_value", torch.ones(3, 1), "expected 1 dimension.* of p_value"),
    ],
)
def test_what_no_recovery_writes_is_refused(folder: Path, name: str, values: torch.Tensor, message: str) -> None:
    path = shard_path(folder / "codes", 1)
    write_tensors(path, {**read_tensors(path), name: values}, read_metadata(path))
    with pytest.raises(ValueError, match=message):
        load_codes(folder)


def test_a_code_may_be_missing_where_the_generator_gave_none(folder: Path) -> None:
    path = shard_path(folder / "codes", 1)
    tensors = read_tensors(path)
    tensors["z"][1], tensors["reconstruction_error"][1] = torch.nan, torch.nan
    write_tensors(path, tensors, read_metadata(path))
    assert load_codes(folder).z.isnan().any(1).nonzero().flatten().tolist() == [4]


@pytest.mark.parametrize("names", ["", "{", "7", '["a", "b", 3]', '{"a": 1}', "[" * 100_000, '["a"]'])
def test_names_of_other_forms_are_refused(folder: Path, names: str) -> None:
    path = shard_path(folder / "codes", 1)
    write_tensors(path, read_tensors(path), {**read_metadata(path), "names": names})
    with pytest.raises(ValueError, match=r"expected a list of names in .*codes-00001|3 rows|1 rows"):
        load_codes(folder)


@pytest.mark.parametrize("count", ["", "-3", "3.0", "three", "1" + "0" * 15, "1" * 5000, "03", "³"])
def test_any_number_of_shards_but_theirs_is_refused_at_once(folder: Path, count: str) -> None:
    for number in range(3):
        path = shard_path(folder / "codes", number)
        write_tensors(path, read_tensors(path), {**read_metadata(path), "shards": count})
    with pytest.raises(ValueError, match=r"expected the shards of one recovery|expected \d+ shards in .*, found 3"):
        load_codes(folder)


def test_shards_of_other_lengths_are_refused(folder: Path) -> None:
    path = shard_path(folder / "codes", 1)
    write_tensors(path, {**read_tensors(path), "z": torch.ones(3, 5)}, read_metadata(path))
    with pytest.raises(ValueError, match="codes of one length and type"):
        load_codes(folder)


def test_names_that_are_no_text_come_back(tmp_path: Path) -> None:
    names = (os.fsdecode(b"caf\xe9.png"), "日本.png", "a\nb")
    write_codes(shard_path(tmp_path, 0), replace(codes(0, 3, shards="1"), names=names))
    assert load_codes(tmp_path).names == names


def test_shards_of_earlier_versions_say_that_they_do_not_know_what_they_lack(tmp_path: Path) -> None:
    path = shard_path(tmp_path, 0)
    write_codes(path, codes(0, 3))
    kept = {name: value for name, value in read_tensors(path).items() if name != "undetermined"}
    write_tensors(path, kept, read_metadata(path))
    found = read_codes(path)
    assert len(found) == 3
    assert found.undetermined.isnan().all()


@pytest.mark.parametrize("condition", [torch.tensor([3, 1]), {"label": torch.tensor([3, 1]), "age": torch.rand(2, 4)}])
def test_codes_keep_their_condition(condition: Any, tmp_path: Path) -> None:
    zeros, yes = torch.zeros(2), torch.ones(2, dtype=torch.bool)
    values = (torch.randn(2, 8), zeros, yes, yes, zeros, zeros.long(), zeros, zeros)
    for number in range(2):
        codes = RecoveredCodes(*values, names=("a", "b"), metadata={"shards": "2"}, condition=condition)
        write_codes(shard_path(tmp_path, number), codes)
    again = load_codes(tmp_path).condition
    assert_close(named_parts(again), named_parts(joined([condition, condition])))
