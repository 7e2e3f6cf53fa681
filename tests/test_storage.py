"""What is written appears whole or not at all, reads back bit for bit, and is named when it cannot be read."""

import errno
import json
import math
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import torch
from torch import Tensor

from latentry import storage
from latentry.storage import (
    atomic_path,
    fingerprint,
    locked_folder,
    read_json,
    read_metadata,
    read_tensors,
    remove_leftovers,
    set_aside,
    write_bytes,
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


# ------------------------------------------------------------------------------------------------------ what goes wrong


def test_equal_content_makes_equal_files_whatever_the_order_of_the_notes(tmp_path: Path) -> None:
    notes = {f"note {number}": str(number) for number in range(20)}
    write_tensors(tmp_path / "a.safetensors", TENSORS, notes)
    write_tensors(tmp_path / "b.safetensors", TENSORS, dict(reversed(notes.items())))
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert read_metadata(tmp_path / "a.safetensors") == notes


def test_notes_need_no_tensors_and_any_text(tmp_path: Path) -> None:
    notes = {"größe": '"quoted"\n', "": "\x7f\x01 \u2028 猫"}
    write_tensors(tmp_path / "a.safetensors", {}, notes)
    assert read_tensors(tmp_path / "a.safetensors") == {}
    assert read_metadata(tmp_path / "a.safetensors") == notes


def test_tensors_have_the_permissions_of_any_other_file_and_may_share_memory(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    whole = torch.arange(6.0)
    write_tensors(tmp_path / "ours", {"whole": whole, "part": whole[2:4], "again": whole})
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode
    found = read_tensors(tmp_path / "ours")
    assert torch.equal(found["whole"], whole)
    assert torch.equal(found["part"], whole[2:4])
    assert torch.equal(found["again"], whole)


@contextmanager
def full_disk(size: int = 1000) -> Iterator[None]:
    """No file may grow beyond this size."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


WRITERS: dict[str, Callable[[Path], None]] = {
    "tensors": lambda path: write_tensors(path, {"a": torch.zeros(1000)}),
    "json": lambda path: write_json(path, list(range(1000))),
    "bytes": lambda path: write_bytes(path, bytes(5000)),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_is_an_os_error_about_the_file_and_loses_nothing(writer: str, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text("old")
    with full_disk(), pytest.raises(OSError, match=r"results\.json") as caught:
        WRITERS[writer](path)
    assert caught.value.errno == errno.EFBIG
    assert caught.value.filename == str(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_in_the_place_of_a_folder_is_an_os_error(writer: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match="file"):
        WRITERS[writer](tmp_path / "file" / "results.json")
    assert (tmp_path / "file").read_text() == "mine"


def test_what_is_no_file_or_no_json_a_machine_can_hold_is_named(tmp_path: Path) -> None:
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "huge.json").write_text("[" + "9" * 10_000 + "]")
    (tmp_path / "folder.json").mkdir()
    for name in ("deep", "huge", "folder"):
        with pytest.raises(ValueError, match=rf"{name}\.json"):
            read_json(tmp_path / f"{name}.json")
    for read in (read_tensors, read_metadata):
        with pytest.raises(ValueError, match=r"a file of weights at .*folder"):
            read(tmp_path / "folder.json")


# ------------------------------------------------------------------------------------------------------ folders of a run


def test_a_locked_folder_is_refused_to_others_and_free_after_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "_PATIENCE", 0.0)
    holding = "import sys, filelock\nwith filelock.FileLock(sys.argv[1]): print('held', flush=True); sys.stdin.read()"
    child = subprocess.Popen(
        [sys.executable, "-c", holding, tmp_path / ".latentry.lock"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"held\n"

    def hold() -> None:
        with locked_folder(tmp_path):
            (tmp_path / "mine").touch()

    with pytest.raises(ValueError, match=f"another run is at work in {tmp_path}; wait until it ends, or choose another"):
        hold()
    assert not (tmp_path / "mine").exists()
    child.kill()
    child.communicate()
    hold()
    assert list(tmp_path.iterdir()) == [tmp_path / "mine"]  # no lock is left


def test_a_folder_in_which_nothing_was_written_goes_again(tmp_path: Path) -> None:
    with locked_folder(tmp_path / "deep" / "down"):
        assert (tmp_path / "deep" / "down").is_dir()
    assert list(tmp_path.iterdir()) == []
    with locked_folder(tmp_path / "deep" / "down"):
        (tmp_path / "deep" / "result").touch()
    assert list((tmp_path / "deep").iterdir()) == [tmp_path / "deep" / "result"]
    (tmp_path / "own").mkdir()
    with locked_folder(tmp_path / "own"):
        pass
    assert (tmp_path / "own").is_dir()


def test_what_is_set_aside_comes_back_where_nothing_takes_its_place(tmp_path: Path) -> None:
    def replace(new: str | None, error: type[Exception] | None) -> list[str]:
        for name in ("a.json", "model", "mine"):
            write_text(tmp_path / name / "old", "") if name == "model" else write_text(tmp_path / name, "old")
        with suppress(KeyError), set_aside(tmp_path, ["a.json", "model", "absent"]):
            assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["mine"]
            if new is not None:
                write_text(tmp_path / new, "new")
            if error is not None:
                raise error
        return sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))

    assert replace(None, KeyError) == ["a.json", "mine", "model", "model/old"]
    assert replace("a.json", KeyError) == ["a.json", "mine"]
    assert (tmp_path / "a.json").read_text() == "new"
    assert replace(None, None) == ["mine"]


def test_leftovers_of_killed_runs_go_and_nothing_else(tmp_path: Path) -> None:
    kept = {tmp_path / "a.json", tmp_path / "model" / ".hidden", tmp_path / "mine" / ".latentry-of-another-part"}
    gone = {
        tmp_path / ".latentry-12ab.json",
        tmp_path / "model" / "deep" / ".latentry-3c.png",
        tmp_path / ".latentry-4" / "old",
    }
    for path in kept | gone:
        write_text(path, "")
    remove_leftovers(tmp_path, "model", "absent")
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == kept
