"""However a command ends, it ends with its exit code and one sentence, and what it made is on disk."""

import errno
import io
import os
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors

from latentry.__main__ import main as start
from latentry.cli import main
from latentry.tasks import train as training
from latentry.tasks.sample import run as sampling
from latentry.tasks.study import run as studying

CODES = {
    OSError(errno.ENOSPC, "No space left on device", "/a/model"): (2, "/a/model (No space left on device)"),
    OSError(errno.EROFS, "Read-only file system", "/a", None, "/b"): (2, "/a and /b (Read-only file system)"),
    PermissionError(errno.EACCES, "Permission denied", os.fsdecode(b"/\xff")): (2, r"/\xff (Permission denied)"),
    OSError("no details"): (2, "(no details)"),
    safetensors.SafetensorError("I/O error: No space left"): (2, "I/O error: No space left"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"): (2, "UTF-8"),
    ValueError("expected this,\n  got that"): (2, "expected this, got that"),
    ArithmeticError("the loss became nan"): (1, "the loss became nan"),
    MemoryError(): (1, "out of memory"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:1] you tried to allocate 9 bytes"): (1, "out of memory"),
    RuntimeError("mat1 and mat2 shapes cannot be multiplied"): (70, "unexpected RuntimeError: mat1 and mat2"),
    AssertionError(): (70, "unexpected AssertionError: no message; this is a bug of Latentry"),
    KeyboardInterrupt(): (130, "interrupted; the same command starts from the beginning"),
}


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Lets `latentry sample` end with an error."""

    def fail_with(error: BaseException) -> None:
        def fail(settings: object) -> None:
            raise error

        monkeypatch.setattr(sampling, "sample", fail)

    return fail_with


@pytest.mark.parametrize("error", CODES, ids=lambda error: f"{type(error).__name__} {CODES[error][0]}")
def test_every_error_ends_with_its_code_and_one_sentence(
    error: BaseException, failing: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]
) -> None:
    failing(error)
    code, said = CODES[error]
    assert main(["sample"]) == code
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert err.startswith("latentry: ")
    assert said in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "said"),
    [("train gan", "continues from its last checkpoint, if there is one"), ("study", "starts from the beginning")],
)
def test_only_a_verb_that_keeps_checkpoints_promises_to_go_on(
    words: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(settings: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train_gan", stop)
    monkeypatch.setattr(studying, "study", stop)
    assert main(words.split()) == 130
    assert capsys.readouterr().err == f"latentry: interrupted; the same command {said}\n"


def test_a_traceback_is_shown_when_it_is_asked_for(
    failing: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(RuntimeError("deep"))
    monkeypatch.setenv("LATENTRY_DEBUG", "1")
    assert main(["sample"]) == 70
    assert "Traceback (most recent call last)" in capsys.readouterr().err


class Full(io.StringIO):
    """An output that takes nothing."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self._error = error

    def write(self, text: str) -> int:
        raise self._error


@pytest.mark.parametrize(
    ("error", "code"), [(BrokenPipeError(errno.EPIPE, "Broken pipe"), 141), (OSError(errno.ENOSPC, "No space left"), 1)]
)
@pytest.mark.parametrize("json", [[], ["--json"]])
def test_output_that_nobody_takes_costs_no_result(
    error: OSError, code: int, json: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", Full(error))
    assert main(["prior", "show", "normal", "--latent_dim=3", *json, "--out", str(tmp_path)]) == code
    assert {path.name for path in tmp_path.iterdir()} == {"prior.png", "results.json"}


def test_an_output_that_is_closed_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", None)  # what Python makes of `>&-`
    assert main(["prior", "show", "normal", "--latent_dim=3", "--json", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "latentry: the work is done, but its output could not be written (it is closed)\n"
    assert (tmp_path / "results.json").exists()


def test_a_failure_is_told_by_its_own_code_even_if_nobody_reads(
    failing: Callable[[BaseException], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(ValueError("expected this"))
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(sys, stream, Full(BrokenPipeError(errno.EPIPE, "Broken pipe")))
    assert main(["sample"]) == 2


def test_an_output_of_few_letters_gets_the_others_as_escapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii", write_through=True))
    assert main(["prior", "show", "normal", "--latent_dim=3", "--out", str(tmp_path / "猫[bold]")]) == 0
    assert rb"\u732b[bold]/prior.png" in written.getvalue()


def test_ctrl_c_ends_with_a_sentence_even_while_modules_are_imported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Importing(types.ModuleType):
        def __getattr__(self, name: str) -> Any:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "latentry.cli", Importing("latentry.cli"))
    with pytest.raises(SystemExit) as left:
        start()
    assert left.value.code == 130
    assert capsys.readouterr().err == "latentry: interrupted before it began\n"


def test_a_pipe_that_nobody_reads_ends_in_silence(tmp_path: Path) -> None:
    command = f"{sys.executable} -m latentry prior show normal --latent_dim 3 --out {tmp_path / 'out'} | true"
    done = subprocess.run(["bash", "-c", f"{command}; exit ${{PIPESTATUS[0]}}"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr, done.stdout) == (141, "", "")
    assert (tmp_path / "out" / "results.json").exists()
