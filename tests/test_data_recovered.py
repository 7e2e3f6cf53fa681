"""Shards of recovered codes: joined they are the whole, and what is missing or foreign is named."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from latentry.data.recovered import RecoveredCodes, load_codes, read_codes, shard_path, write_codes
from latentry.storage import read_metadata, write_tensors


def codes(number: int, count: int, **facts: str) -> RecoveredCodes:
    draw = torch.Generator().manual_seed(number)
    return RecoveredCodes(
        z=torch.randn(count, 4, generator=draw),
        reconstruction_error=torch.rand(count, generator=draw),
        met=torch.rand(count, generator=draw) > 0.5,
        converged=torch.ones(count, dtype=torch.bool),
        disagreement=torch.full((count,), torch.nan),
        evaluations=torch.arange(count),
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
