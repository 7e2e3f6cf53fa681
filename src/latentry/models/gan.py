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

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.optim import Adam, Optimizer

from latentry.display.progress import Progress
from latentry.interfaces import Prior
from latentry.models.generative import GenerativeModel
from latentry.models.settings import GANSettings
from latentry.networks import DCGANDiscriminator, DCGANGenerator, channels_last
from latentry.priors import Normal
from latentry.training.averaging import averaged_copy, settle_batch_norm
from latentry.training.batches import TrainingData, square_images, training_data
from latentry.training.fitting import Fitted, Randomness, device_of, prior_identity, training_run
from latentry.training.loop import Update
from latentry.training.own_networks import TRIAL, chosen_network, own_identity
from latentry.training.settings import settings_identity

__all__ = [
    "GANTraining",
    "Objective",
    "discriminator_loss",
    "discriminator_losses",
    "fit_gan",
    "generator_loss",
    "iterations",
    "r1_penalty",
]

Objective = Literal["non-saturating", "hinge", "least-squares"]
_DEFAULTS = GANSettings()


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
        settings: Losses, penalty, rates and averaging; those of networks and loop are not looked at.

    Raises:
        ValueError: The decay of the average is outside its range.
    """

    def __init__(
        self, generator: nn.Module, discriminator: nn.Module, prior: Prior, settings: GANSettings = _DEFAULTS
    ) -> None:
        self.prior, self.settings = prior, settings
        self.networks = {"generator": generator, "discriminator": discriminator}
        self.averages = {"generator": averaged_copy(generator, settings.ema)}
        self.optimizers: dict[str, Optimizer] = {
            name: Adam(network.parameters(), lr=rate, betas=settings.betas, fused=True)
            for name, network, rate in (
                ("generator", generator, settings.generator_learning_rate),
                ("discriminator", discriminator, settings.discriminator_learning_rate),
            )
        }

    def step(self, batch: tuple[Tensor, Tensor], rng: torch.Generator, update: Update) -> dict[str, Tensor]:
        """One update of the discriminator, then one of the generator on the same codes."""
        generator, discriminator, settings = self.networks["generator"], self.networks["discriminator"], self.settings
        x = batch[0]
        z = self.prior.sample(len(x), rng=rng).to(x)
        generated = generator(z)

        penalised = settings.r1 > 0 and iterations(self.optimizers["discriminator"]) % settings.r1_every == 0
        loss, penalty = discriminator_losses(discriminator, (x,), (generated,), settings.objective, penalised=penalised)
        update({"discriminator": loss + settings.r1 / 2 * settings.r1_every * penalty})

        loss_of_generator = generator_loss(discriminator(generated), settings.objective)
        update({"generator": loss_of_generator})
        return {"discriminator": loss, "generator": loss_of_generator, "r1": penalty}

    def averaged_generator(self, rng: torch.Generator, codes: int = 4096) -> nn.Module:
        """The moving average in eval mode, its batch statistics recomputed on `codes` samples of the prior."""
        average = self.averages["generator"].module
        device = next(average.parameters()).device
        batches = (self.prior.sample(256, rng=rng).to(device) for _ in range(max(1, codes // 256)))
        settle_batch_norm(average, batches)
        return average.eval()


def fit_gan(
    x: Float[Tensor, "n *s"] | TrainingData,
    prior: Prior | None = None,
    settings: GANSettings = _DEFAULTS,
    *,
    generator: nn.Module | None = None,
    discriminator: nn.Module | None = None,
    device: torch.device | str | None = None,
    rng: Randomness = None,
    progress: Progress = True,
    callback: Callable[[int, GenerativeModel], None] | None = None,
    checkpoint: str | Path | None = None,
) -> Fitted[GenerativeModel]:
    """Train a GAN, by default a DCGAN; the moving average of its generator is the model.

    Reference: Radford, Metz, Chintala, "Unsupervised representation learning with deep convolutional GANs", 2016.

    Args:
        x: Square images in [-1, 1] of 28, 32, 64 or 128 pixels: a tensor, or data such as `lt.load_dataset` gives. Data of
            any shape where both networks are your own.
        prior: Distribution of the codes; N(0, I) of `settings.latent_dim` by default.
        settings: Networks, losses, rates, length.
        generator: A network of your own, codes `(n, d)` to data. A copy of it is trained.
        discriminator: A network of your own, data to scores `(n,)` before any sigmoid. A copy of it is trained.
        device: Where to train; by default where the data are.
        rng: Seed of all random choices, or the source that draws it.
        progress: Called as `progress(done, total)` after each iteration; by default a bar on a terminal.
        callback: Called as `callback(step, model)` at each checkpoint.
        checkpoint: Folder for checkpoints. A run that was stopped goes on from the last one and ends bit for bit as if it
            had not been. None keeps nothing.

    Returns:
        The model, its losses in `stages["gan"]`, and the discriminator in `networks`. `save_model` takes networks of
        `latentry.networks` alone; keep others as torch does.

    Raises:
        ValueError: The data do not fit the networks, there are fewer than one batch, or the checkpoints belong to another
            run.
        TrainingDivergedError: A loss or a weight became NaN or infinite.

    Example:
        >>> import torch, latentry as lt
        >>> from latentry.models.settings import GANSettings
        >>> tiny = GANSettings(steps=2, batch_size=4, width=2, discriminator_width=2, latent_dim=3)
        >>> found = lt.fit_gan(torch.zeros(8, 1, 28, 28), settings=tiny, rng=0)
        >>> found.model.decode(found.model.prior.sample(5)).shape
        torch.Size([5, 1, 28, 28])
        >>> generator = torch.nn.Linear(3, 2)
        >>> scores = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.Flatten(0))
        >>> plane = lt.fit_gan(torch.randn(8, 2), settings=tiny, generator=generator, discriminator=scores, rng=0)
        >>> plane.model.decode(torch.zeros(5, 3)).shape
        torch.Size([5, 2])
    """
    data = training_data(x)
    some = data.__getitems__(range(TRIAL))[0]
    side, channels = (0, 0) if generator is not None and discriminator is not None else square_images(data)
    with training_run(settings, device_of(data, device), rng, checkpoint) as run:
        prior = Normal(settings.latent_dim) if prior is None else prior
        known = prior_identity(prior)
        if isinstance(prior, nn.Module):
            prior = copy.deepcopy(prior).to(run.device)
        d, norm = prior.latent_dim, settings.discriminator_norm
        training = GANTraining(
            chosen_network(
                generator, lambda: channels_last(DCGANGenerator(d, side, channels, settings.width)), "generator",
                [prior.sample(TRIAL, rng=run.rng())], tuple(some.shape[1:]),
            ),
            chosen_network(
                discriminator,
                lambda: channels_last(DCGANDiscriminator(side, channels, settings.discriminator_width, norm)),
                "discriminator", [some], (),
            ),
            prior,
            settings,
        )  # fmt: skip

        def model() -> GenerativeModel:
            return GenerativeModel(training.averaged_generator(run.rng()), prior)

        identity = {**settings_identity(settings, GANSettings), "data": data.fingerprint(), "prior": known}
        identity |= own_identity(generator=generator, discriminator=discriminator)
        done = run.train(
            training, data, settings, identity=identity, progress=progress,
            at_checkpoint=lambda step: callback(step, model()) if callback is not None else None,
        )  # fmt: skip
        return Fitted(model(), {"gan": done}, networks={"discriminator": training.networks["discriminator"].eval()})
