r"""Generative adversarial networks: a generator :math:`G(z)`, :math:`z \sim p(z)`, against a discriminator :math:`D(x)`.

With scores :math:`D(x)` before any sigmoid and :math:`s(t) = \log(1 + e^t)`, the discriminator minimises and the generator
minimises

============== ================================================= =====================
objective      discriminator                                     generator
============== ================================================= =====================
non-saturating :math:`E s(-D(x)) + E s(D(G(z)))`                 :math:`E s(-D(G(z)))`
hinge          :math:`E \max(0, 1 - D(x)) + E \max(0, 1 + D(G(z)))`  :math:`-E D(G(z))`
least squares  :math:`(E (D(x) - 1)^2 + E D(G(z))^2) / 2`        :math:`E (D(G(z)) - 1)^2 / 2`
============== ================================================= =====================

References: Goodfellow et al., "Generative adversarial nets", 2014; Lim and Ye, "Geometric GAN", 2017; Mao et al., "Least
squares generative adversarial networks", 2017; Mescheder, Geiger, Nowozin, "Which training methods for GANs do actually
converge?", 2018 (R1).
"""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.optim import Adam, Optimizer

from latentry.interfaces import SampledPrior
from latentry.training.averaging import averaged_copy, settle_batch_norm
from latentry.training.loop import Update

__all__ = [
    "GANTraining",
    "Objective",
    "discriminator_loss",
    "discriminator_losses",
    "generator_loss",
    "iterations",
    "r1_penalty",
]

Objective = Literal["non-saturating", "hinge", "least-squares"]


def discriminator_loss(real: Float[Tensor, "n"], generated: Float[Tensor, "m"], objective: Objective) -> Float[Tensor, ""]:
    """The loss of the discriminator, from its scores of real and of generated data."""
    if objective == "non-saturating":
        return softplus(-real).mean() + softplus(generated).mean()
    if objective == "hinge":
        return (1 - real).relu().mean() + (1 + generated).relu().mean()
    return ((real - 1).square().mean() + generated.square().mean()) / 2


def generator_loss(generated: Float[Tensor, "n"], objective: Objective) -> Float[Tensor, ""]:
    """The loss of the generator, from the discriminator's scores of its samples."""
    if objective == "non-saturating":
        return softplus(-generated).mean()
    if objective == "hinge":
        return -generated.mean()
    return (generated - 1).square().mean() / 2


def r1_penalty(scores: Float[Tensor, "n"], x: Float[Tensor, "n *s"]) -> Float[Tensor, ""]:
    r"""Mean squared gradient norm of the scores on real data, :math:`E \lVert \nabla D(x) \rVert^2`.

    Reference: Mescheder, Geiger, Nowozin (2018), eq. 9 without its factor gamma / 2.

    Args:
        scores: D(x), computed with `x.requires_grad`.
        x: Real data.
    """
    (gradient,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
    return gradient.square().flatten(1).sum(1).mean()


def discriminator_losses(
    discriminator: nn.Module,
    real: Sequence[Tensor],
    generated: Sequence[Tensor],
    objective: Objective,
    *,
    penalised: bool,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """The discriminator loss and the R1 penalty, 0 where there is to be none.

    Args:
        discriminator: Data, and what comes with them, to scores.
        real, generated: Its arguments, data first.
        objective: Which losses.
        penalised: Whether the penalty is computed.
    """
    x = real[0].requires_grad_(penalised)
    real_scores = discriminator(x, *real[1:])
    loss = discriminator_loss(real_scores, discriminator(generated[0].detach(), *generated[1:]), objective)
    return loss, r1_penalty(real_scores, x) if penalised else loss.new_zeros(())


def iterations(optimizer: Optimizer) -> int:
    """Iterations done so far, kept by the optimiser and hence by checkpoints."""
    return next((int(state["step"]) for state in optimizer.state.values()), 0)


class GANTraining:
    """A generator, its discriminator and the step that trains them on batches `(x, y)`; labels are passed over.

    Args:
        generator: Codes to data.
        discriminator: Data to one score each.
        prior: Distribution of the codes.
        objective: Which losses.
        r1: Weight gamma of the R1 penalty (gamma / 2 on the mean squared gradient norm); 0 leaves it out.
        r1_every: Iterations between two penalties, each weighted by their number (lazy regularisation).
        generator_lr, discriminator_lr: Learning rates of Adam.
        betas: Adam's decay rates.
        ema: Decay of the generator's moving average.

    Raises:
        ValueError: A rate or a weight is outside its range.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        prior: SampledPrior,
        *,
        objective: Objective = "non-saturating",
        r1: float = 0.0,
        r1_every: int = 1,
        generator_lr: float = 2e-4,
        discriminator_lr: float = 2e-4,
        betas: tuple[float, float] = (0.5, 0.99),
        ema: float = 0.999,
    ) -> None:
        if r1 < 0 or r1_every < 1:
            raise ValueError(f"expected r1 >= 0 and r1_every >= 1, got {r1} and {r1_every}")
        self.prior = prior
        self.objective: Objective = objective
        self.r1, self.r1_every = r1, r1_every
        self.networks = {"generator": generator, "discriminator": discriminator}
        self.averages = {"generator": averaged_copy(generator, ema)}
        self.optimizers = {
            "generator": Adam(generator.parameters(), lr=generator_lr, betas=betas, fused=True),
            "discriminator": Adam(discriminator.parameters(), lr=discriminator_lr, betas=betas, fused=True),
        }

    def step(self, batch: tuple[Tensor, Tensor], rng: torch.Generator, update: Update) -> dict[str, Tensor]:
        """One update of the discriminator, then one of the generator on the same codes."""
        generator, discriminator = self.networks["generator"], self.networks["discriminator"]
        x = batch[0]
        z = self.prior.sample(len(x), rng=rng).to(x)
        generated = generator(z)

        penalised = self.r1 > 0 and iterations(self.optimizers["discriminator"]) % self.r1_every == 0
        loss, penalty = discriminator_losses(discriminator, (x,), (generated,), self.objective, penalised=penalised)
        update({"discriminator": loss + self.r1 / 2 * self.r1_every * penalty})

        loss_of_generator = generator_loss(discriminator(generated), self.objective)
        update({"generator": loss_of_generator})
        return {"discriminator": loss, "generator": loss_of_generator, "r1": penalty}

    def averaged_generator(self, rng: torch.Generator, codes: int = 4096) -> nn.Module:
        """The moving average in eval mode, its batch statistics recomputed on `codes` samples of the prior."""
        average = self.averages["generator"].module
        device = next(average.parameters()).device
        batches = (self.prior.sample(256, rng=rng).to(device) for _ in range(max(1, codes // 256)))
        settle_batch_norm(average, batches)
        return average.eval()
