r"""The label split: codes :math:`z = (z_s, z_u)` of which the first part says what a datum is, the second how it looks.

Encoder S gives :math:`z_s`, encoder U a normal posterior of :math:`z_u`, the decoder makes :math:`\hat x` of both. A normal
mixture with one component for each class lies over :math:`z_s` (`label_split_losses`), N(0, I) over :math:`z_u`, and a
classifier C that tries to read labels from :math:`z_u` is answered by encoder U, which leads it towards a posterior that
knows nothing. With a discriminator D of images and labels it is a GAN too, whose samples are
:math:`G(\mu_{y'} + \epsilon / \sqrt{\lambda_{y'}}, \, z_u \sim N(0, I))`.

Who learns what from what, in each iteration:

===================== =================================================== =======
parameters            loss                                                times
===================== =================================================== =======
encoder S and means   :math:`L_{cls} + 0.1 L_{lkd}`                       3
precisions            the same, at a rate that falls                      3
C                     cross entropy of the labels from :math:`z_u`        1
D                     hinge with three terms                              1
encoder S             :math:`10 L_{rec} + L_{lkd}`                        1
encoder U             :math:`10 L_{rec} + L_{kl} + L_E^{adv}`             1
decoder               :math:`10 L_{rec} - D(\hat x, y) - D(x', y')`       1
===================== =================================================== =======

Passes are shared where the table allows: each encoder sees the batch once for the last four rows, and the third time of the
first two; reconstruction is carried back once through the decoder for both encoders.

References: Zheng and Sun, "Disentangling latent space for VAE by label relevant/irrelevant dimensions", 2019.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Adam

from latentry.display import Facts, Shown
from latentry.holding import evaluated, weights_like
from latentry.models.classifier import jitter
from latentry.models.label_split_losses import (
    component_divergence,
    confusion_loss,
    mixture_classification_loss,
    mixture_likelihood_loss,
    mixture_logits,
    normal_divergence,
    three_term_hinge,
)
from latentry.models.label_split_weights import LabelSplitWeights
from latentry.models.posterior import Posterior, normal_posterior
from latentry.models.pretrained import load_pretrained, model_folder, save_pretrained
from latentry.networks import ConditionalFlow, FlowDecoder
from latentry.numerics.hsic import centred_alignment, gaussian_kernel
from latentry.numerics.inputs import checked
from latentry.priors import NormalMixture, TrainedMixture
from latentry.training.loop import Update

__all__ = [
    "LabelSplit",
    "LabelSplitTraining",
    "is_label_split",
    "posteriors_of_labels",
    "load_label_split",
    "save_label_split",
]

_PARTS = {"decoder": ".", "label_encoder": "label-encoder", "style_encoder": "style-encoder"}
"""Folder of each network: that of the decoder is the model's own, which so serves wherever a generator is asked for."""
_PAPERS = LabelSplitWeights()


def posteriors_of_labels(given: Float[Tensor, "n k"], label_dim: int) -> Posterior:
    """The posteriors of z_s: as those of styles, or without spread where an encoder gives codes."""
    return Posterior(given, None) if given.shape[1] == label_dim else normal_posterior(given)


@dataclass(frozen=True, repr=False)
class LabelSplit(Shown):
    """Trained encoders and decoder, with the posterior of their codes."""

    label_encoder: nn.Module
    """Data to z_s, or to mean and log variance of it."""
    style_encoder: nn.Module
    """Data to mean and log variance of z_u."""
    decoder: nn.Module
    """Codes (z_s, z_u) to data: the generator."""
    prior: NormalMixture
    """Distribution of whole codes: the mixture over z_s, and N(0, 1) over each coordinate of z_u."""
    label_dim: int
    """Length of z_s, which comes first."""
    least_deviation: float = 0.0
    """Of the posteriors of z_u."""

    def _facts(self) -> Facts:
        d = self.prior.latent_dim
        return Facts(
            f"Label split: codes of {d} elements, the first {self.label_dim} of which know the label",
            (
                ("labels", f"{self.prior.num_classes}"),
                ("decoder", type(self.decoder).__name__),
                ("encoders", f"{type(self.label_encoder).__name__}, {type(self.style_encoder).__name__}"),
                ("flow over the style", "no" if self.flow is None else "yes"),
            ),
            "`split.relabelled(z, y)` gives codes another label, `split.swapped(z, other)` another look.",
        )

    def _draw(self, figure: Any) -> None:
        from latentry.display.drawing import are_images, draw_images, draw_samples

        k = self.prior.num_classes
        rng = torch.Generator(self.prior.loc.device).manual_seed(0)
        styles = self.prior.sample((), torch.zeros(3, dtype=torch.int64, device=self.prior.loc.device), rng=rng)
        labels = torch.arange(k, device=styles.device)
        rows = [self.decode(self.relabelled(style.expand(k, -1), labels)) for style in styles]
        if are_images(rows[0]):
            draw_images(figure, [(f"look {row}", x) for row, x in enumerate(rows, 1)], [str(label) for label in range(k)])
        else:
            draw_samples(figure, torch.cat(rows))

    @checked()
    def encode(
        self, x: Float[Tensor, "n *s"], batch_size: int = 500, *, rng: torch.Generator | None = None
    ) -> Float[Tensor, "n d"]:
        """Codes of data: draws of the posteriors that the encoders give, through the flow where the decoder has one.

        Args:
            x: Data.
            batch_size: Data that pass the encoders at once.
            rng: Source of the draws, on the device of the data; by default one that gives the same data in the same order
                the same codes.
        """
        rng = torch.Generator(x.device).manual_seed(0) if rng is None else rng
        return self.drawn(self.posteriors(x, batch_size), rng)

    def drawn(self, posteriors: tuple[Posterior, Posterior], rng: torch.Generator) -> Float[Tensor, "n d"]:
        """Codes drawn from posteriors of z_s and z_u, through the flow: what `encode` does, without the encoders."""
        return self._through_flow(*(part.drawn(rng) for part in posteriors))

    @checked()
    def centres(self, x: Float[Tensor, "n *s"], batch_size: int = 500) -> Float[Tensor, "n d"]:
        """The means of these posteriors in place of draws, for reconstructions and edits.

        They show data at their clearest, and hold more of them, of labels too, than any code that the decoder learned from.
        """
        return self._through_flow(*(posteriors.mean for posteriors in self.posteriors(x, batch_size)))

    def _through_flow(self, z_s: Float[Tensor, "n s"], z_u: Float[Tensor, "n u"]) -> Float[Tensor, "n d"]:
        with torch.no_grad():
            return torch.cat([z_s, z_u if self.flow is None else self.flow(z_u, z_s)], 1)

    @checked()
    def posteriors(self, x: Float[Tensor, "n *s"], batch_size: int = 500) -> tuple[Posterior, Posterior]:
        """Posteriors of z_s and of z_u as the encoders give them, before any flow."""
        with evaluated(self.label_encoder, self.style_encoder) as (of_label, of_style), torch.no_grad():
            parts = x.to(weights_like(self.label_encoder, x)).split(batch_size)
            given = [(of_label(part), of_style(part)) for part in parts]
        labels, styles = (torch.cat(parts) for parts in zip(*given, strict=True))
        if labels.ndim != 2 or styles.ndim != 2:
            raise ValueError(
                f"expected data (n, *data_shape) of which encoders make rows, got {tuple(x.shape)}; drop an axis"
            )
        return posteriors_of_labels(labels, self.label_dim), normal_posterior(styles, self.least_deviation)

    @property
    def flow(self) -> ConditionalFlow | None:
        """What made z_u normal whatever z_s is, if anything did."""
        return self.decoder.flow if isinstance(self.decoder, FlowDecoder) else None

    @checked()
    def decode(self, z: Float[Tensor, "n d"], batch_size: int = 500) -> Float[Tensor, "n *s"]:
        """Data of codes."""
        self._check(z)
        with evaluated(self.decoder) as (decoder,), torch.no_grad():
            return torch.cat([decoder(part) for part in z.to(weights_like(self.decoder, z)).split(batch_size)])

    @checked()
    def label_log_probs(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """log p(y | z_s) for every label: the mixture as a classifier; z_u has no say."""
        self._check(z)
        return self.label_prior.label_log_probs(z[:, : self.label_dim])

    @property
    def label_prior(self) -> NormalMixture:
        """The mixture over z_s alone."""
        loc, scale = (part[:, : self.label_dim] for part in (self.prior.loc, self.prior.scale))
        return NormalMixture(loc, scale, self.prior.probs)

    def before_flow(self) -> "LabelSplit":
        """The same split with z_u as the encoder gives it."""
        return dataclasses.replace(self, decoder=self.decoder.decoder) if isinstance(self.decoder, FlowDecoder) else self

    @checked()
    def swapped(self, z_label: Float[Tensor, "n d"], z_style: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """Codes with z_s of the first and z_u of the second."""
        self._check(z_label)
        self._check(z_style)
        return torch.cat([z_label[:, : self.label_dim], z_style[:, self.label_dim :]], 1)

    @checked()
    def relabelled(self, z: Float[Tensor, "n d"], y: Int[Tensor, "n"]) -> Float[Tensor, "n d"]:
        """Codes with the mean of a label's component for z_s: what it is changes, how it looks stays."""
        self._check(z)
        if len(y) and not 0 <= int(y.min()) <= int(y.max()) < self.prior.num_classes:
            raise ValueError(f"expected labels from 0 to {self.prior.num_classes - 1}, got {int(y.min())} to {int(y.max())}")
        return torch.cat([self.prior.loc[y, : self.label_dim].to(z), z[:, self.label_dim :]], 1)

    def _check(self, z: Float[Tensor, "n d"]) -> None:
        if z.shape[1] != self.prior.latent_dim:
            raise ValueError(f"expected codes of shape (n, {self.prior.latent_dim}) of this split, got {tuple(z.shape)}")


def save_label_split(folder: str | Path, split: LabelSplit, card: Mapping[str, Any], *, half: bool = False) -> None:
    """Write all three networks and the prior; the folder serves as that of a generator too.

    Raises:
        ValueError: A network is not one of `latentry.networks`.
    """
    described = {**card, "label_dim": split.label_dim, "least_deviation": split.least_deviation}
    for name, part in _PARTS.items():
        prior = split.prior if name == "decoder" else None
        save_pretrained(Path(folder) / part, getattr(split, name), prior, described, half=half)


def is_label_split(name_or_path: str | Path) -> bool:
    """Whether a shipped model, or a folder, is what `save_label_split` writes."""
    return all((model_folder(name_or_path) / part).is_dir() for part in _PARTS.values())


def load_label_split(name_or_path: str | Path) -> LabelSplit:
    """A shipped label split by its name, or what `save_label_split` wrote, by its folder.

    Raises:
        ValueError: A part is missing or of another kind.
    """
    decoder = load_pretrained(name_or_path)
    if not isinstance(decoder.prior, NormalMixture) or "label_dim" not in decoder.card:
        raise ValueError(f"expected the folder of a label split, got another model in {name_or_path}; train one")
    told, styled = (
        load_pretrained(model_folder(name_or_path) / _PARTS[name]).network for name in ("label_encoder", "style_encoder")
    )
    return LabelSplit(
        told, styled, decoder.network, decoder.prior, decoder.card["label_dim"], decoder.card.get("least_deviation", 0.0)
    )


class LabelSplitTraining:
    """The networks of a label split and the step that trains them on batches `(x, y)`.

    Args:
        label_encoder: Data to z_s; or to mean and log variance of z_s, twice as many numbers, which makes z_s stochastic.
        style_encoder: Data to mean and log variance of z_u.
        decoder: Codes (z_s, z_u) to data.
        mixture: Components over z_s.
        adversary: C, from z_u to logits.
        style_dim: Length of z_u.
        discriminator: D, from data and labels to scores; None for the VAE alone.
        probs: Class probabilities; equal by default.
        weights: Of the losses.
        confusion_target: What C shall be led to: all classes alike, or the class probabilities.
        placements: Updates of encoder S and mixture in each iteration.
        adversary_steps: Updates of C in each iteration, on new draws of z_u.
        adversary_sees: Whether C reads draws of z_u or the means of their posteriors, where every trace of a label shows.
        least_deviation: Of the posteriors of z_u: what is finer than this noise, no decoder and no reader of draws can see.
        sampled_styles: Where z_u of D's samples comes from: N(0, I), or the codes of other data of the batch.
        precision_every: Iterations after which the rate of the precisions falls to a tenth, again and again; 0 for never.
        extent: Arguments of `jitter` for what encoder S is shown when it and the mixture alone are updated; data that are
            made again stay as they are.
        lr, adversary_lr: Learning rates of Adam.
        betas: Adam's decay rates.

    Raises:
        ValueError: Sizes do not fit each other, or a number is outside its range.
    """

    def __init__(
        self,
        label_encoder: nn.Module,
        style_encoder: nn.Module,
        decoder: nn.Module,
        mixture: TrainedMixture,
        adversary: nn.Module,
        style_dim: int,
        discriminator: nn.Module | None = None,
        *,
        probs: Float[Tensor, "k"] | None = None,
        weights: LabelSplitWeights = _PAPERS,
        confusion_target: Literal["uniform", "class-prior"] = "uniform",
        placements: int = 3,
        adversary_steps: int = 1,
        adversary_sees: Literal["draws", "means"] = "draws",
        least_deviation: float = 0.0,
        sampled_styles: Literal["prior", "others"] = "prior",
        precision_every: int = 0,
        extent: Mapping[str, float] | None = None,
        lr: float = 5e-4,
        adversary_lr: float | None = None,
        betas: tuple[float, float] = (0.0, 0.9),
    ) -> None:
        if placements < 1 or adversary_steps < 1 or precision_every < 0:
            raise ValueError(
                f"expected placements and adversary_steps >= 1 and precision_every >= 0, got {placements}, "
                f"{adversary_steps} and {precision_every}"
            )
        if not 0 <= least_deviation < 1:
            raise ValueError(f"expected a least deviation of z_u from 0 to below the prior's 1, got {least_deviation}")
        self.weights, self.placements, self.adversary_steps = weights, placements, adversary_steps
        self.adversary_sees, self.precision_every, self.extent = adversary_sees, precision_every, dict(extent or {})
        self.least_deviation, self.sampled_styles = least_deviation, sampled_styles
        k, self.label_dim = mixture.loc.shape
        self.style_dim = style_dim
        self.probs = torch.full((k,), 1 / k) if probs is None else probs
        self.target = torch.full((k,), 1 / k) if confusion_target == "uniform" else self.probs
        self.networks: dict[str, nn.Module] = {
            "label-encoder": label_encoder,
            "style-encoder": style_encoder,
            "decoder": decoder,
            "mixture": mixture,
            "adversary": adversary,
        }
        trained: dict[str, tuple[Any, float]] = {
            "placement": (chain(label_encoder.parameters(), [mixture.loc]), lr),
            "precision": ([mixture.raw], lr),
            "label-encoder": (label_encoder.parameters(), lr),
            "style-encoder": (style_encoder.parameters(), lr),
            "decoder": (decoder.parameters(), lr),
            "adversary": (adversary.parameters(), lr if adversary_lr is None else adversary_lr),
        }
        if discriminator is not None:
            self.networks["discriminator"] = discriminator
            trained["discriminator"] = (discriminator.parameters(), lr)
        self.averages: dict[str, Any] = {}
        self.optimizers: dict[str, Any] = {
            name: Adam(parameters, lr=rate, betas=betas, fused=True) for name, (parameters, rate) in trained.items()
        }

    def step(self, batch: tuple[Tensor, Tensor], rng: torch.Generator, update: Update) -> dict[str, Tensor]:
        """One iteration: all rows of the table of this module."""
        x, y = batch
        mixture: Any = self.networks["mixture"]
        self._slow_precisions()
        for _ in range(self.placements - 1):
            posteriors = self._label_posteriors(jitter(x, **self.extent, rng=rng) if any(self.extent.values()) else x)
            placement = self._placement(posteriors, posteriors.drawn(rng), y)
            update({"placement": placement, "precision": placement})
            mixture.limit_()

        posteriors = self._label_posteriors(x)
        style = normal_posterior(self.networks["style-encoder"](x), self.least_deviation)
        z_s, z_u = posteriors.drawn(rng), style.drawn(rng)
        x_hat = self.networks["decoder"](torch.cat([z_s, z_u], 1))
        shown = {"accuracy": self._accuracy(posteriors.mean, y)}
        shown |= self._teach_adversary(style, y, rng, update)

        weights = self.weights
        placement = self._placement(posteriors, z_s, y)
        reconstruction = (x_hat - x).square().mean()
        assert style.log_variance is not None, "encoder U gives posteriors"
        divergence = normal_divergence(style.mean, style.log_variance)
        total = weights.reconstruction * reconstruction + weights.divergence * divergence
        total = total + weights.pull * self._likelihood(posteriors, y)
        if weights.confusion:
            logits = self.networks["adversary"](style.mean if self.adversary_sees == "means" else z_u)
            total = total + weights.confusion * confusion_loss(logits, self.target.to(logits))
        if weights.dependence:
            dependence = centred_alignment(gaussian_kernel(z_u), gaussian_kernel(z_s.detach()))
            total = total + weights.dependence * dependence
            shown["dependence"] = dependence
        losses = dict.fromkeys(("label-encoder", "style-encoder", "decoder"), total)
        if "discriminator" in self.networks:
            adversarial, of_discriminator = self._play(x, x_hat, y, z_u.detach(), rng, update)
            losses["decoder"] = weights.reconstruction * reconstruction + weights.adversarial * adversarial
            shown |= {"discriminator": of_discriminator, "adversarial": adversarial}
        update({"placement": placement, "precision": placement, **losses})
        mixture.limit_()
        return shown | {"placement": placement, "reconstruction": reconstruction, "divergence": divergence}

    def split(self) -> LabelSplit:
        """The networks as they are, with the prior that the mixture describes."""
        encoders = self.networks["label-encoder"], self.networks["style-encoder"]
        return LabelSplit(*encoders, self.networks["decoder"], self._prior(), self.label_dim, self.least_deviation)

    def _prior(self) -> NormalMixture:
        mixture: Any = self.networks["mixture"]
        return mixture.settled(self.probs).beside_normal(self.style_dim)

    def _label_posteriors(self, x: Tensor) -> Posterior:
        return posteriors_of_labels(self.networks["label-encoder"](x), self.label_dim)

    def _likelihood(self, posteriors: Posterior, y: Tensor) -> Tensor:
        mixture: Any = self.networks["mixture"]
        if posteriors.log_variance is None:
            return mixture_likelihood_loss(posteriors.mean, y, mixture.loc, mixture.precision)
        return component_divergence(posteriors.mean, posteriors.log_variance, y, mixture.loc, mixture.precision)

    def _placement(self, posteriors: Posterior, z_s: Tensor, y: Tensor) -> Tensor:
        mixture: Any = self.networks["mixture"]
        told = mixture_classification_loss(z_s, y, mixture.loc, mixture.precision, self.weights.margin)
        return told + self.weights.likelihood * self._likelihood(posteriors, y)

    def _teach_adversary(self, style: Posterior, y: Tensor, rng: torch.Generator, update: Update) -> dict[str, Tensor]:
        """C learns to read labels from z_u, by draws or means."""
        if not self.weights.confusion:
            return {}
        fixed = style.detached()
        for _ in range(self.adversary_steps):
            seen = fixed.mean if self.adversary_sees == "means" else fixed.drawn(rng)
            logits = self.networks["adversary"](seen)
            loss = cross_entropy(logits, y)
            update({"adversary": loss})
        return {"adversary": loss.detach()}

    def _play(
        self, x: Tensor, x_hat: Tensor, y: Tensor, z_u: Tensor, rng: torch.Generator, update: Update
    ) -> tuple[Tensor, Tensor]:
        """One update of D; what the decoder then minimises, and D's loss."""
        discriminator = self.networks["discriminator"]
        y_new = torch.randint(len(self.probs), y.shape, generator=rng, device=y.device)
        z = self._prior().sample((), y_new, rng=rng)
        if self.sampled_styles == "others":
            z = torch.cat([z[:, : self.label_dim], z_u.roll(1, 0)], 1)
        sampled = self.networks["decoder"](z)
        loss = three_term_hinge(
            discriminator(x, y), discriminator(sampled.detach(), y_new), discriminator(x_hat.detach(), y)
        )
        update({"discriminator": loss})
        return -discriminator(x_hat, y).mean() - discriminator(sampled, y_new).mean(), loss.detach()

    def _accuracy(self, z_s: Tensor, y: Tensor) -> Tensor:
        mixture: Any = self.networks["mixture"]
        with torch.no_grad():
            return (mixture_logits(z_s, mixture.loc, mixture.precision).argmax(1) == y).float().mean()

    def _slow_precisions(self) -> None:
        """The loop sets rates anew in each iteration; the precisions' falls to a tenth now and then."""
        optimizer = self.optimizers["precision"]
        turn = next((int(state["step"]) for state in optimizer.state.values()), 0) // self.placements
        if self.precision_every:
            for group in optimizer.param_groups:
                group["lr"] = group["lr"] * 0.1 ** (turn // self.precision_every)
