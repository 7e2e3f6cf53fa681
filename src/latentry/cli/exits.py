"""How a command exits: the exit code and the one sentence of every error, and output to a closed pipe."""

import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, cast

from latentry.cli.parser import UsageError
from latentry.names import printable

__all__ = [
    "BROKEN_PIPE",
    "FAILED",
    "INTERRUPTED",
    "INVALID",
    "TERMINATED",
    "UNEXPECTED",
    "Output",
    "exit_message",
    "safe_output",
    "sigterm_as_interrupt",
]

FAILED, INVALID, UNEXPECTED, INTERRUPTED, BROKEN_PIPE, TERMINATED = 1, 2, 70, 130, 141, 143
"""Exit codes; `INVALID` is what the user can correct."""

_LONG = 200
"""Most letters of a path in a sentence."""
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "alloc_cpu")
"""Words of torch, whose errors are RuntimeErrors on a CPU."""


def exit_message(error: BaseException, *, resumes: bool) -> tuple[str, int]:
    """The sentence and the exit code for an error that ends a command.

    Args:
        error: Any error, also Ctrl-C and SIGTERM.
        resumes: Whether the command continues from a checkpoint.
    """
    later = "continues from its last checkpoint, if there is one" if resumes else "starts from the beginning"
    text = printable(" ".join(str(error).split()))
    if isinstance(error, _TerminatedError):
        return f"terminated; the same command {later}", TERMINATED
    if isinstance(error, KeyboardInterrupt):
        return f"interrupted; the same command {later}", INTERRUPTED
    if isinstance(error, UsageError):
        return text, INVALID
    if isinstance(error, UnicodeError):
        return f"expected text in UTF-8, got something else ({text}); save the file or name in UTF-8", INVALID
    if isinstance(error, ValueError):
        return text, INVALID
    if isinstance(error, OSError) or type(error).__name__ == "SafetensorError":  # what safetensors makes of an OSError
        return _system_error(error, text), INVALID
    if _is_out_of_memory(error, text):
        return f"out of memory ({text or 'no details'}); take fewer or smaller items at once", FAILED
    if isinstance(error, ArithmeticError):
        return text, FAILED
    return (
        f"unexpected {type(error).__name__}: {text or 'no message'}; this is a bug of Latentry, please report it with the "
        "command and the traceback that LATENTRY_DEBUG=1 prints",
        UNEXPECTED,
    )


def _system_error(error: BaseException, text: str) -> str:
    """The error of the operating system, with the files."""
    reason = printable(getattr(error, "strerror", None) or text or type(error).__name__)
    names = [getattr(error, name, None) for name in ("filename", "filename2")]
    files = " and ".join(
        printable(os.fsdecode(name), _LONG) for name in names if isinstance(name, str | bytes | os.PathLike)
    )
    place = f" with {files}" if files else ""
    return f"the system refused to work{place} ({reason}); see to the file, its folder, their permissions and the disk"


def _is_out_of_memory(error: BaseException, text: str) -> bool:
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(words in text for words in _OUT_OF_MEMORY)
    )


class _Stream:
    """A stream that never fails: an error of writing is stored, so that no work is lost for it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.error: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        if self._stream is None and text:
            self.error = OSError(errno.EBADF, "it is closed")
        if self._stream is not None and self.error is None:
            encoding = self.encoding or "utf-8"
            with self._storing_errors():
                self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def flush(self) -> None:
        if self._stream is not None and self.error is None:
            with self._storing_errors():
                self._stream.flush()

    def isatty(self) -> bool:
        return self._stream is not None and self._stream.isatty()

    @property
    def encoding(self) -> str | None:
        return getattr(self._stream, "encoding", None)

    @contextmanager
    def _storing_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.error = error
            if self._stream in (sys.__stdout__, sys.__stderr__) and self._stream is not None:
                # what is still in its buffer would fail again when the interpreter ends
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._stream.fileno())
                os.close(nowhere)


class Output:
    """Standard output and standard error of a command."""

    def __init__(self, out: _Stream, err: _Stream) -> None:
        self._out, self._err = out, err

    def exit_code(self, code: int) -> int:
        """The exit code, with errors of writing in place of success."""
        if code or self._out.error is None:
            return code
        if isinstance(self._out.error, BrokenPipeError):
            return BROKEN_PIPE
        reason = self._out.error.strerror or type(self._out.error).__name__
        self._err.write(f"latentry: the work is done, but its output could not be written ({reason})\n")
        return FAILED


@contextmanager
def safe_output() -> Iterator[Output]:
    """In this block no error of printing stops the work, and characters that a stream cannot encode are escaped."""
    out, err = _Stream(sys.stdout), _Stream(sys.stderr)
    with redirect_stdout(cast(Any, out)), redirect_stderr(cast(Any, err)):
        yield Output(out, err)
        out.flush()
        err.flush()


class _TerminatedError(KeyboardInterrupt):
    """SIGTERM, which ends a command as Ctrl-C does."""


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """In this block of the main thread SIGTERM ends the work as Ctrl-C does; the earlier handler is restored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminate(number: int, frame: object) -> None:
        raise _TerminatedError

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
