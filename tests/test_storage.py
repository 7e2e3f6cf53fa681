"""What is written appears whole or not at all, reads back bit for bit, and is named when it cannot be read."""

import json
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from latentry.storage import (
    atomic_path,
    fingerprint,
    read_json,
    read_metadata,
    read_tensors,
    write_json,
    write_tensors,
    write_text,
)

TENSORS = {
    "scalar": torch.tensor(3.5, dtype=torch.float64),
    "empty": torch.zeros(0, 3),
    "half": torch.arange(6, dtype=torch.bfloat16).reshape(2, 3),
    "flags": torch.tensor([True, False]),
    "labels": torch.tensor([-1, 2**40]),
    "transposed": torch.arange(6.0).reshape(2, 3).mT,
    "channels last": torch.arange(24.0).reshape(1, 2, 3, 4).to(memory_format=torch.channels_last),
    "parameter": torch.nn.Parameter(torch.tensor([math.pi, -0.0])),
}


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    write_text(path, "old")

    def cut() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half of the new")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        cut()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_bears_the_name_before_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "down" / "notes.txt"
    with atomic_path(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
        assert temporary.parent == path.parent  # a rename is atomic only within one file system
        assert temporary.suffix == ".txt"
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_a_written_file_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_text(tmp_path / "ours", "")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_json_reads_back_as_it_was_written(tmp_path: Path) -> None:
    content = {"word": "größer", "numbers": [1, 2.5, -3e-300], "nothing": None, "deep": {"yes": True}}
    write_json(tmp_path / "a.json", content)
    assert read_json(tmp_path / "a.json") == content
    assert (tmp_path / "a.json").read_text(encoding="utf-8").endswith("}\n")


def test_lists_of_plain_values_take_a_line_each_and_strings_stay_as_they_are(tmp_path: Path) -> None:
    content = {"rows": [[1, -2.5], [None, True]], "said": ["a [1,\n  2] b", "{"], "of": [{"x": [1]}, []], "z": "[\n 1 \n]"}
    write_json(tmp_path / "a.json", content)
    assert read_json(tmp_path / "a.json") == content
    lines = (tmp_path / "a.json").read_text(encoding="utf-8").splitlines()
    assert lines[1:5] == ['  "rows": [', "    [1, -2.5],", "    [null, true]", "  ],"]


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_json_is_refused_and_the_old_file_stays(tmp_path: Path, number: float) -> None:
    path = tmp_path / "a.json"
    write_json(path, [1])
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, [number])
    assert json.loads(path.read_text()) == [1]


@pytest.mark.parametrize("content", [b'{"cut": ', b"", b"\xff\xfe\x00"])
def test_broken_json_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.json is not valid JSON"):
        read_json(tmp_path / "broken.json")


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"JSON file at .*absent\.json, found none"):
        read_json(tmp_path / "absent.json")
    with pytest.raises(ValueError, match=r"weights at .*absent\.safetensors, found none"):
        read_tensors(tmp_path / "absent.safetensors")


def test_tensors_read_back_bit_for_bit(tmp_path: Path) -> None:
    write_tensors(tmp_path / "a.safetensors", TENSORS)
    found = read_tensors(tmp_path / "a.safetensors")
    assert found.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert found[name].dtype == tensor.dtype
        assert found[name].shape == tensor.shape
        assert torch.equal(found[name], tensor)
    assert fingerprint(found) == fingerprint(TENSORS)


def test_a_tensor_file_cut_short_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_tensors(path, TENSORS)
    for size in (0, 4, 40, path.stat().st_size - 1):
        (tmp_path / "cut.safetensors").write_bytes(path.read_bytes()[:size])
        with pytest.raises(ValueError, match=r"cut\.safetensors is not a whole safetensors file"):
            read_tensors(tmp_path / "cut.safetensors")


def test_a_fingerprint_knows_neither_order_nor_memory_layout() -> None:
    backwards = {name: TENSORS[name].detach().clone(memory_format=torch.contiguous_format) for name in reversed(TENSORS)}
    assert fingerprint(backwards) == fingerprint(TENSORS)
    assert len(fingerprint({})) == 16


@pytest.mark.parametrize(
    "other",
    [
        {"b": torch.arange(6.0)},
        {"a": torch.arange(6)},
        {"a": torch.arange(6.0).reshape(2, 3)},
        {"a": torch.arange(6.0).nextafter(torch.tensor(9.0))},
        {"a": torch.arange(6.0), "more": torch.zeros(0)},
    ],
    ids=["name", "type", "shape", "last bit", "one more"],
)
def test_a_fingerprint_tells_apart(other: dict[str, Tensor]) -> None:
    assert fingerprint(other) != fingerprint({"a": torch.arange(6.0)})


def test_metadata_are_read_without_the_tensors(tmp_path: Path) -> None:
    path = tmp_path / "codes.safetensors"
    write_tensors(path, TENSORS, {"prior": "Normal(3)"})
    assert read_metadata(path) == {"prior": "Normal(3)"}
    write_tensors(path, TENSORS)
    assert read_metadata(path) == {}
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(ValueError, match=r"codes\.safetensors is not a whole safetensors file"):
        read_metadata(path)
    with pytest.raises(ValueError, match="found none"):
        read_metadata(tmp_path / "none.safetensors")
