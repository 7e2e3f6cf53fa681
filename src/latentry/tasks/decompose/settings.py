"""What `latentry decompose` can be told; no torch is imported here."""

from dataclasses import dataclass

from latentry.tasks.coding.settings import BasisSettings

__all__ = ["DecomposeSettings"]


@dataclass(frozen=True, kw_only=True)
class DecomposeSettings(BasisSettings):
    """Take a latent space apart into directions that bear labels, and the codes of images into coefficients."""

    out: str = "runs/decompose"
    """Folder for the basis, index.html and the coefficients."""
    report_codes: int = 2000
    """Fresh codes of the prior that the report is on."""
