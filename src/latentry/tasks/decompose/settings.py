"""Settings of `latentry decompose`; no torch is imported here."""

from dataclasses import dataclass

from latentry.tasks.coding.settings import BasisSettings

__all__ = ["DecomposeSettings"]


@dataclass(frozen=True, kw_only=True)
class DecomposeSettings(BasisSettings):
    """Find directions of a latent space that stand for labels, and write the codes of images as coefficients of them."""

    out: str = "runs/decompose"
    """Folder for the basis, index.html and the coefficients."""
    report_codes: int = 2000
    """How many new codes of the prior the report is computed from."""
