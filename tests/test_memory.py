"""What does not fit into memory is refused before it is asked for."""

import resource
import subprocess
import sys

import pytest

from latentry import memory
from latentry.memory import check_memory, free_memory


def test_free_memory_is_part_of_what_the_machine_has() -> None:
    pages = resource.getpagesize() * int(subprocess.check_output(["getconf", "_PHYS_PAGES"]))
    assert 0 < free_memory() <= pages


def test_what_fits_passes_and_what_does_not_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 2**30)
    check_memory(2**29, "half of it", "never")
    with pytest.raises(ValueError, match=r"expected all of it to fit in 0\.80 GiB of memory \(80% .*, got 1\.00 GiB; wait"):
        check_memory(2**30, "all of it", "wait")


def test_a_limit_on_the_address_space_counts() -> None:
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))\n"
        "from latentry.memory import free_memory\n"
        "assert 2**28 < free_memory() < 2**30, free_memory()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
