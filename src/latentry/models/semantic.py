r"""Generators whose codes bear features where they were placed (`latentry.priors.SemanticPlacement`).

*Stage 1* (LSC-VAE). An encoder q(z | x) and a decoder learn to make data again, while the posterior of each code is drawn to
that of its datum's levels a,

.. math:: L = \frac{\lVert x - \hat x \rVert^2}{2 \sigma^2} + \beta_t \, KL(q(z | x) \,\|\, p(z | a)),

which is the evidence bound of log p(x | a) with p(z | a) in place of N(0, I), for :math:`\beta_t = 1`; the divergence is
warmed up to it, since posteriors far apart would else be matched before anything is encoded.

*Stage 2* (LSC-GAN). The decoder becomes the generator of a GAN. A discriminator alone would let it forget what codes mean;
so the frozen encoder reads its samples, and the generator minimises

.. math:: L_{adv} + \lambda \, E_{a, \, z \sim p(z | a)} \, R(z, a, q(z | G(z)))

with R the divergence :math:`KL(q \| p(z | a))` (`consistency="distribution"`, the reading of Kim and Cho), or the nats by
which q misses the very code, :math:`-\log q(z | G(z))` but for a constant (`consistency="code"`), which asks for style to
be kept as well; or how far the levels that the mean of q stands for are from those of the code, in standard deviations
(`consistency="levels"`), which leaves style alone. The discriminator may see levels beside images, so that it tells a sample
that looks real from one that shows what it was asked for. Codes with levels that no datum had, such as the reverse of a
feature, have no data to be told from: where `reversed_share` is above 0, so many codes are drawn at turned levels too, and
only the encoder speaks of them.

What Kim and Cho published says that features have normal posteriors of their own, that the decoder becomes the generator and
that a divergence is added to the losses of the GAN; everything else here is our reconstruction.

References: Kim and Cho, "Latent space-controllable generative adversarial network", 2019; Kingma and Welling, "Auto-encoding
variational Bayes", 2014.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Adam

from latentry.display import Facts
from latentry.holding import evaluated, weights_like
from latentry.models.gan import Objective, discriminator_losses, generator_loss, iterations
from latentry.models.generative import GenerativeModel
from latentry.models.posteriors import normal_posterior
from latentry.numerics.batches import in_batches
from latentry.numerics.inputs import checked
from latentry.priors import DiagonalNormal, SemanticPlacement
from latentry.training.averaging import averaged_copy, settle_batch_norm
from latentry.training.loop import Update

__all__ = [
    "Consistency",
    "SemanticGANTraining",
    "SemanticModel",
    "SemanticVAETraining",
    "code_error",
    "levels_error",
    "reconstruction_error",
]

Consistency = Literal["distribution", "code", "levels"]

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


def reconstruction_error(x: Float[Tensor, "n *s"], x_hat: Float[Tensor, "n *s"], deviation: float) -> Float[Tensor, "n"]:
    r"""-log p(x | z) of normal noise about the reconstruction, but for a constant: :math:`\lVert x - \hat x \rVert^2 / 2
    \sigma^2`, in nats."""
    return (x - x_hat).square().flatten(1).sum(1) / (2 * deviation**2)


def code_error(z: Float[Tensor, "n d"], q: DiagonalNormal) -> Float[Tensor, "n"]:
    r"""-log q(z) in nats, but for the constant :math:`\frac d2 \log 2 \pi`."""
    return -q.log_prob(z) - z.shape[1] / 2 * math.log(2 * math.pi)


def levels_error(z: Float[Tensor, "n d"], q: DiagonalNormal, placement: SemanticPlacement) -> Float[Tensor, "n"]:
    """Half the squared distance between levels of codes and those of posterior means, in standard deviations."""
    return 0.5 * ((placement.levels(z) - placement.levels(q.mean)) * placement.separations).square().sum(1)


class SemanticVAETraining:
    """Stage 1: the step that trains encoder and decoder on batches `(x, a)`.

    Args:
        encoder: Data to mean and log variance of codes, side by side.
        decoder: Codes to data.
        placement: Distribution of the codes for any levels; where levels are unknown, with the combinations that
            occur.
        deviation: Standard deviation sigma of the data about their reconstruction, above 0.
        warm_up: Iterations over which the divergence gains its full weight.
        lr: Learning rate of Adam.
        betas: Adam's decay rates.

    Raises:
        ValueError: A number is outside its range.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        placement: SemanticPlacement,
        *,
        deviation: float = 0.3,
        warm_up: int = 0,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
    ) -> None:
        if deviation <= 0 or warm_up < 0:
            raise ValueError(f"expected deviation > 0 and warm_up >= 0, got {deviation} and {warm_up}")
        self.placement, self.deviation, self.warm_up = placement, deviation, warm_up
        self.networks: dict[str, nn.Module] = {"encoder": encoder, "decoder": decoder, "placement": placement}
        self.averages: dict[str, Any] = {}
        both = [*encoder.parameters(), *decoder.parameters()]
        self.optimizers: dict[str, Any] = {"both": Adam(both, lr=lr, betas=betas, fused=True)}

    def step(self, batch: tuple[Tensor, Tensor], rng: torch.Generator, update: Update) -> dict[str, Tensor]:
        """One iteration on the evidence bound."""
        x, a = batch
        q = normal_posterior(self.networks["encoder"](x))
        x_hat = self.networks["decoder"](q.rsample(rng=rng))
        error = reconstruction_error(x, x_hat, self.deviation).mean()
        divergence = self.placement.divergence(q, a).mean()
        weight = min(1.0, (iterations(self.optimizers["both"]) + 1) / self.warm_up) if self.warm_up else 1.0
        update({"both": (error + weight * divergence) / x[0].numel()})
        return {"reconstruction": error, "divergence": divergence}


class SemanticGANTraining:
    """Stage 2: the step that trains generator and discriminator on batches `(x, a)`, the encoder frozen.

    Args:
        generator: Codes to data: the decoder of stage 1, or a fresh network.
        discriminator: Data, and levels if it `sees_levels`, to one score each.
        encoder: Of stage 1; not trained unless `train_encoder`.
        placement: Distribution of the codes, with the combinations of levels that occur.
        sees_levels: Whether the discriminator is told the levels; unknown ones count as neutral.
        consistency: What the encoder asks of samples: the posterior of their levels, their very code, or the levels of that.
        consistency_weight: lambda, for each nat a latent, or each squared deviation of a level; 0 leaves it out.
        reversed_share: Codes at turned levels for each code of a sample, from 0 to 1.
        turned: Features whose levels are turned there; by default all that are not exclusive. Where a reverse means nothing
            the encoder is best pleased by dirt.
        train_encoder: Whether the encoder learns with the generator, from the same term.
        objective, r1, r1_every, generator_lr, discriminator_lr, betas, ema: As in `GAN`.

    Raises:
        ValueError: A number is outside its range, or a feature to turn is unknown or exclusive.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        encoder: nn.Module,
        placement: SemanticPlacement,
        *,
        sees_levels: bool = True,
        consistency: Consistency = "levels",
        consistency_weight: float = 0.07,
        reversed_share: float = 0.5,
        turned: Sequence[str] | None = None,
        train_encoder: bool = False,
        objective: Objective = "non-saturating",
        r1: float = 0.5,
        r1_every: int = 8,
        generator_lr: float = 1e-3,
        discriminator_lr: float = 1e-3,
        betas: tuple[float, float] = (0.0, 0.99),
        ema: float = 0.995,
    ) -> None:
        if consistency_weight < 0 or not 0 <= reversed_share <= 1:
            raise ValueError(
                f"expected consistency_weight >= 0 and reversed_share from 0 to 1, got {consistency_weight} and "
                f"{reversed_share}"
            )
        if r1 < 0 or r1_every < 1:
            raise ValueError(f"expected r1 >= 0 and r1_every >= 1, got {r1} and {r1_every}")
        free = [name for name in placement.features if name not in placement.exclusive]
        turned = free if turned is None else turned
        if fixed := {placement.features[placement.index(name)] for name in turned} - {*free}:
            raise ValueError(
                f"expected features to turn among {', '.join(free)}, got {', '.join(sorted(fixed))}, one of "
                "which is always there"
            )
        self.turns = [name in turned for name in placement.features]
        self.placement, self.objective, self.r1, self.r1_every = placement, objective, r1, r1_every
        self.consistency, self.consistency_weight = consistency, consistency_weight
        self.reversed_share, self.train_encoder, self.sees_levels = reversed_share, train_encoder, sees_levels
        self.networks: dict[str, nn.Module] = {
            "generator": generator, "discriminator": discriminator, "encoder": encoder, "placement": placement
        }  # fmt: skip
        self.averages = {"generator": averaged_copy(generator, ema)}
        learns = [*generator.parameters(), *(encoder.parameters() if train_encoder else ())]
        self.optimizers: dict[str, Any] = {
            "generator": Adam(learns, lr=generator_lr, betas=betas, fused=True),
            "discriminator": Adam(discriminator.parameters(), lr=discriminator_lr, betas=betas, fused=True),
        }

    def step(self, batch: tuple[Tensor, Tensor], rng: torch.Generator, update: Update) -> dict[str, Tensor]:
        """One update of the discriminator, then one of the generator on the same codes."""
        generator, discriminator = self.networks["generator"], self.networks["discriminator"]
        x, a_real = batch
        y = torch.multinomial(self.placement.probs, len(x), replacement=True, generator=rng)
        a = self.placement.combinations[y]
        z = self.placement.at(a).sample(rng=rng).to(x)
        generated = generator(z)

        penalised = self.r1 > 0 and iterations(self.optimizers["discriminator"]) % self.r1_every == 0
        levels, real_levels = ((a.to(x),), (a_real.nan_to_num(),)) if self.sees_levels else ((), ())
        loss, penalty = discriminator_losses(
            discriminator, (x, *real_levels), (generated, *levels), self.objective, penalised=penalised
        )
        update({"discriminator": loss + self.r1 / 2 * self.r1_every * penalty})

        adversarial = generator_loss(discriminator(generated, *levels), self.objective)
        total = adversarial
        shown = {"discriminator": loss, "generator": adversarial, "r1": penalty}
        if self.consistency_weight:
            errors = self._consistency_error(z, a, generated)
            if count := round(self.reversed_share * len(x)):
                turned = self._turned(a[:count], rng)
                beyond = self.placement.at(turned).sample(rng=rng).to(x)
                errors = torch.cat([errors, self._consistency_error(beyond, turned, generator(beyond))])
            shown["consistency"] = errors.mean()
            over = 1 if self.consistency == "levels" else z.shape[1]
            total = total + self.consistency_weight * shown["consistency"] / over
        update({"generator": total})
        return shown

    def averaged_generator(self, rng: torch.Generator, codes: int = 4096) -> nn.Module:
        """The moving average in eval mode, its batch statistics recomputed on `codes` samples of the placement."""
        average = self.averages["generator"].module
        device = next(average.parameters()).device
        settle_batch_norm(average, (self.placement.sample(256, rng=rng).to(device) for _ in range(max(1, codes // 256))))
        return average.eval()

    def _consistency_error(self, z: Tensor, a: Tensor, generated: Tensor) -> Tensor:
        """R(z, a, q(z | G(z))) of each sample, in nats."""
        encoder = self.networks["encoder"]
        if self.train_encoder:
            q = normal_posterior(encoder(generated))
        else:
            with evaluated(encoder):
                q = normal_posterior(encoder(generated))
        if self.consistency == "distribution":
            return self.placement.divergence(q, a)
        return code_error(z, q) if self.consistency == "code" else levels_error(z, q, self.placement)

    def _turned(self, a: Tensor, rng: torch.Generator) -> Tensor:
        """Levels with those of some features turned round, each at random, present ones into reverses."""
        turn = torch.rand(a.shape, generator=rng, device=a.device) < 0.5
        return torch.where(torch.tensor(self.turns, device=a.device) & turn, -a, a)
