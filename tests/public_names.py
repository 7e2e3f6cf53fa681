"""The public names of `latentry`: those at the top, and those of its namespaces."""

from typing import Any

import latentry as lt

NAMESPACES = (
    "directions",
    "encoders",
    "measurements",
    "metrics",
    "operators",
    "regularizers",
    "results",
    "solvers",
    "testing",
)

OF_PACKAGES = {"load_codes": lt.data.load_codes, "mismatch": lt.priors.mismatch}
"""Functions of data and priors that are tested like those at the top."""


def public_names() -> dict[str, Any]:
    """What `latentry` offers, by bare names, but for most of the packages data, generators and priors, and for settings."""
    top = [name for name in lt.__all__ if name not in {*NAMESPACES, "data", "generators", "priors", "settings"}]
    inner = {name: getattr(space, name) for space in (getattr(lt, space) for space in NAMESPACES) for name in space.__all__}
    return {name: getattr(lt, name) for name in top} | inner | OF_PACKAGES
