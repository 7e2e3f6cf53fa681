"""Carpentry for latent spaces.

Names are resolved when they are first used, so that `import latentry` (and `latentry --help`) does not wait for torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latentry import priors as priors
    from latentry.data.sources import load_dataset as load_dataset
    from latentry.evaluation.codes import GoodnessOfFit as GoodnessOfFit
    from latentry.evaluation.codes import goodness_of_fit as goodness_of_fit
    from latentry.evaluation.paths import evaluate_paths as evaluate_paths
    from latentry.evaluation.samples import evaluate_samples as evaluate_samples
    from latentry.latent.inverse import Inverse as Inverse
    from latentry.latent.inverse import InverseReport as InverseReport
    from latentry.latent.inverse import fit_inverse as fit_inverse
    from latentry.latent.inverse import load_inverse as load_inverse
    from latentry.latent.inverse import save_inverse as save_inverse
    from latentry.latent.recovery import Recovery as Recovery
    from latentry.latent.recovery import recover_codes as recover_codes
    from latentry.latent.regularizers import L2 as L2
    from latentry.latent.regularizers import StatisticalDistance as StatisticalDistance
    from latentry.models.pretrained import Pretrained as Pretrained
    from latentry.models.pretrained import load_pretrained as load_pretrained
    from latentry.models.pretrained import save_pretrained as save_pretrained
    from latentry.priors.interpolation import interpolate as interpolate
    from latentry.priors.mismatch import mismatch as mismatch

_HOMES = {
    "GoodnessOfFit": "evaluation.codes",
    "Inverse": "latent.inverse",
    "InverseReport": "latent.inverse",
    "L2": "latent.regularizers",
    "Pretrained": "models.pretrained",
    "Recovery": "latent.recovery",
    "StatisticalDistance": "latent.regularizers",
    "evaluate_paths": "evaluation.paths",
    "evaluate_samples": "evaluation.samples",
    "fit_inverse": "latent.inverse",
    "goodness_of_fit": "evaluation.codes",
    "interpolate": "priors.interpolation",
    "load_dataset": "data.sources",
    "load_inverse": "latent.inverse",
    "load_pretrained": "models.pretrained",
    "mismatch": "priors.mismatch",
    "recover_codes": "latent.recovery",
    "save_inverse": "latent.inverse",
    "save_pretrained": "models.pretrained",
}

__all__ = ["priors", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name == "priors":
        return importlib.import_module("latentry.priors")
    if name in _HOMES:
        return getattr(importlib.import_module(f"latentry.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'latentry' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
