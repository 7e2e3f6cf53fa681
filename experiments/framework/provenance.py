"""What a result was made with, and what pages say of it.

A cell names commit, versions, threads and processor. Cells from before December 2026 name their versions alone, and
`recorded_in`: the commit that brought their numbers into the repository.
"""

import platform
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from latentry.models.pretrained import installed_versions

__all__ = ["made_with", "provenance"]


def provenance(device: str) -> dict[str, Any]:
    """With what a result is made in this process: commit, versions, threads and processor."""
    return {
        "commit": _commit(),
        "versions": installed_versions(),
        "threads": torch.get_num_threads(),
        "processor": torch.cuda.get_device_name(device) if device.startswith("cuda") else _processor(),
    }


def made_with(records: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """What cells say of how they were made, as facts of a page: equal ones together, the most first."""
    return [("cells", f"{count} {fact}") for fact, count in Counter(map(_fact, records)).most_common()]


def _fact(record: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    if "processor" in record:
        threads = f"{record['threads']} thread{'s' if record['threads'] > 1 else ''}"
        return f"made by commit {record['commit'] or 'unknown'} with {versions}, {threads}, {record['processor']}"
    recorded = record.get("recorded_in", "unknown")
    return f"recorded in commit {recorded}, made with {versions}; threads and processor are not known"


def _commit() -> str | None:
    """Commit of the checkout, with a plus where files differ from it; None outside of one."""
    try:
        commit, changed = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "-uno", "--", ":/src", ":/experiments")
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit[:12] + ("+" if changed else "")


def _git(*words: str) -> str:
    answer = subprocess.run(["git", *words], cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    return answer.stdout.strip()


def _processor() -> str:
    known = Path("/proc/cpuinfo")
    lines = known.read_text().splitlines() if known.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
