"""Every annotation of the package is checked at run time in every test, and every test leaves the process as it was."""

from jaxtyping import install_import_hook

install_import_hook(["latentry", "experiments"], "beartype.beartype")

import sys  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(7)


def process_state() -> dict[str, Any]:
    """What belongs to the whole process, so that no function of the package may change it for good."""
    return {
        "default dtype": torch.get_default_dtype(),
        "default device": torch.get_default_device(),
        "gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_anomaly_enabled()),
        "autocast": torch.is_autocast_enabled("cpu"),
        "threads": torch.get_num_threads(),
        "deterministic": (torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark),
        "random numbers of numpy": [str(part) for part in np.random.get_state(legacy=False).items()],
    }


@pytest.fixture(autouse=True)
def _process_as_before(_seeded: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail where a test leaves another state, or where the package seeds torch's global generator for good."""
    seed, wanted = torch.manual_seed, torch.initial_seed()

    def watched(value: Any) -> torch.Generator:
        nonlocal wanted
        if not sys._getframe(1).f_globals.get("__name__", "").startswith("latentry"):
            wanted = int(value)
        return seed(value)

    monkeypatch.setattr(torch, "manual_seed", watched)
    before = process_state()
    yield
    after = process_state()
    assert [name for name, value in before.items() if after[name] != value] == [], "global state has changed"
    assert torch.initial_seed() == wanted % 2**64, "the package has seeded torch's global generator"
