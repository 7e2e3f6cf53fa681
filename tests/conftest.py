"""Every annotation of the package is checked at run time in every test."""

from jaxtyping import install_import_hook

install_import_hook("latentry", "beartype.beartype")

import pytest  # noqa: E402
import torch  # noqa: E402


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(7)
