"""Memory that is kept: what was freed once is lent again without new pages."""

import platform
import resource

import pytest
import torch

from latentry.training.memory import keep_freed_memory

PAGES = 64 * 2**20 // resource.getpagesize()


def faults_of_a_large_tensor() -> int:
    """New pages that 64 MiB take."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2**24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be asked to")
def test_what_was_freed_is_lent_again_without_new_pages() -> None:
    assert keep_freed_memory()
    assert min(faults_of_a_large_tensor() for _ in range(30)) < PAGES / 20  # after some, gaps between others are left


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not keep_freed_memory()
