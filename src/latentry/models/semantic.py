r"""Semantic models: generators whose features have fixed places in the latent space (`latentry.priors.SemanticPlacement`).

`semantic_training` has both stages of the training.

What Kim and Cho published says that features have normal posteriors of their own, that the decoder becomes the generator and
that a divergence is added to the losses of the GAN; everything else here is our reconstruction.

References: Kim and Cho, "Latent space-controllable generative adversarial network", 2019; Kingma and Welling, "Auto-encoding
variational Bayes", 2014.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from latentry.display import Facts
from latentry.holding import evaluated, weights_like
from latentry.models.generative import GenerativeModel
from latentry.models.posteriors import normal_posterior
from latentry.numerics.batches import in_batches
from latentry.numerics.inputs import checked
from latentry.priors import DiagonalNormal, SemanticPlacement

__all__ = ["SemanticModel"]

_DRAWN, _LEVELS = 6, (-1.0, -0.5, 0.0, 0.5, 1.0)


@dataclass(frozen=True, repr=False)
class SemanticModel(GenerativeModel):
    """A generator, the placement of its features, and the encoder that finds them in data.

    Example:
        >>> import latentry as lt
        >>> model = lt.load_model("letters-semantic", lt.SemanticModel)
        >>> z = model.prior.sample(2)
        >>> bold = model.prior.moved(z, "bold", 1.0)
        >>> model.decode(bold).shape
        torch.Size([2, 1, 32, 32])
    """

    prior: SemanticPlacement
    """The placement: distribution of the codes at the combinations of levels that were trained on."""
    encoder: nn.Module
    """Data to mean and log variance of codes."""

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the placed features."""
        return self.prior.features

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the features of which a datum has exactly one."""
        return self.prior.exclusive

    @checked()
    def encode(self, x: Float[Tensor, "n *s"], batch_size: int = 500) -> DiagonalNormal:
        """The posteriors q(z | x) of the codes of data; their mean is a first guess where `recover_codes` finds more.

        Args:
            x: Data.
            batch_size: Data that pass the encoder at once.
        """
        with evaluated(self.encoder) as (encoder,), torch.no_grad():
            return normal_posterior(in_batches(encoder, x.to(weights_like(self.encoder, x)), size=batch_size))

    def _facts(self) -> Facts:
        names = ", ".join(self.features)
        return Facts(
            f"Semantic model: codes of {self.prior.latent_dim} elements with {len(self.features)} features",
            (
                ("features", names if len(names) < 70 else f"{names[:66]}..."),
                ("generator", type(self.generator).__name__),
                ("encoder", type(self.encoder).__name__),
            ),
            "`prior.moved(z, name, by)` moves a feature of codes, `decode(z)` shows them.",
        )

    def _draw(self, figure: Any) -> None:
        """A row for each of the first features, at levels from -1 to 1."""
        from latentry.display.drawing import are_images, draw_images, draw_samples

        placed = self.prior
        rng = torch.Generator(placed.loc.device).manual_seed(0)
        names = [name for name in placed.features if name not in placed.exclusive] or list(placed.features)
        z = placed.sample((), torch.zeros(1, dtype=torch.int64, device=placed.loc.device), rng=rng)
        rows = []
        for name in names[:_DRAWN]:
            now = placed.levels(z)[:, placed.index(name)]
            moved = torch.cat([placed.moved(z, name, level - now) for level in _LEVELS])
            rows.append((name, self.decode(moved)))
        if are_images(rows[0][1]):
            draw_images(figure, rows, [f"{level:g}" for level in _LEVELS])
        else:
            draw_samples(figure, torch.cat([x for _, x in rows]))
