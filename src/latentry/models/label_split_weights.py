"""What each loss of the label split counts; no torch is imported here, so that the command line can read it."""

from dataclasses import dataclass

__all__ = ["LabelSplitWeights"]


@dataclass(frozen=True)
class LabelSplitWeights:
    """Weights of the losses; the defaults are the paper's."""

    reconstruction: float = 10.0
    """Of the mean squared difference of pixels, for both encoders and the decoder."""
    likelihood: float = 0.1
    """Of the mixture's likelihood (L_lkd) beside its classification (L_cls)."""
    pull: float = 1.0
    """Of the same likelihood beside the reconstruction, for encoder S."""
    divergence: float = 1.0
    """Of the divergence of z_u from the standard normal distribution (L_kl), a mean over coordinates."""
    confusion: float = 1.0
    """Of what leads the classifier of z_u astray (L_E^adv); 0 leaves it out."""
    dependence: float = 0.0
    """Of the normalised dependence (HSIC) of z_u on z_s, beside that classifier or instead of it."""
    adversarial: float = 1.0
    """Of the discriminator's scores, for the decoder."""
    margin: float = 0.0
    """alpha of L_cls: by how much codes must be nearer to their own component, relative to their distance from it."""

    def __post_init__(self) -> None:
        below = {name: value for name, value in vars(self).items() if not value >= 0}
        if below:
            raise ValueError(f"expected weights of at least 0, got {below}")
