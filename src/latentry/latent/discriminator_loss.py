r"""The score of a discriminator as a regularizer.

The discriminator D of a least-squares GAN (Mao et al., 2017) is trained to the score 1 for data and 0 for generated samples.
The regularizer

.. math:: R(z) = (D(G(z)) - 1)^2

is small for codes whose images have the score of data. Cho (2020) calls it the trick loss. It depends on the image alone: a
code far outside the prior has a small loss too, if the discriminator mistakes its image for data.

References: Mao et al., "Least squares generative adversarial networks", 2017; Cho, "Latent code recovery by statistical
distance latent regulation loss", 2020.
"""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from latentry.holding import evaluated
from latentry.interfaces import FeatureExtractor, Generator, Prior
from latentry.network_outputs import logits_of
from latentry.numerics.inputs import check_fields, checked

__all__ = ["DiscriminatorLoss"]


@dataclass(frozen=True)
class DiscriminatorLoss:
    """(D(G(z)) - 1)^2, or its mean if the discriminator returns several scores for an image.

    Each step of a solver evaluates the generator twice, since a regularizer gets codes and not images. Both networks are in
    eval mode during the call.

    Example:
        >>> import torch, latentry as lt
        >>> loss = lt.regularizers.DiscriminatorLoss(lambda z: 2 * z, lambda x: x.mean(1))
        >>> loss(torch.tensor([[0.5, 0.5], [2.0, 2.0]]), lt.priors.Normal(2))  # scores 1 and 4
        tensor([0., 9.])
    """

    generator: Generator
    """z -> x."""
    discriminator: FeatureExtractor
    """x -> one score for each image, or several: `(n,)` or `(n, ...)`, 1 for data."""

    def __post_init__(self) -> None:
        check_fields(self)

    @checked(differentiable=True, any_value=("z",))
    def __call__(self, z: Float[Tensor, "n d"], prior: Prior) -> Float[Tensor, "n"]:
        with evaluated(self.generator, self.discriminator):
            score = logits_of(self.discriminator(self.generator(z)))
        errors = (score - 1).square()
        return errors.flatten(1).mean(1) if errors.ndim > 1 else errors
