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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.distributions import constraints, kl_divergence
from torch.nn.functional import cross_entropy
from torch.optim import Adam

from latentry.display import Facts
from latentry.holding import evaluated, weights_like
from latentry.models.classifier import jitter
from latentry.models.generative import GenerativeModel
from latentry.models.label_split_losses import (
    confusion_loss,
    mixture_classification_loss,
    mixture_likelihood_loss,
    mixture_logits,
    three_term_hinge,
)
from latentry.models.label_split_weights import LabelSplitWeights
from latentry.models.posteriors import Delta, Posterior, normal_posterior, standard_normal
from latentry.networks import ConditionalFlow, FlowDecoder
from latentry.numerics.hsic import centred_alignment, gaussian_kernel
from latentry.numerics.inputs import checked
from latentry.priors import DiagonalNormal, NormalMixture, TrainedMixture
from latentry.priors.distribution import CodeDistribution, checked_codes, sampled_shape
from latentry.training.loop import Update

__all__ = [
    "LabelSplit",
    "LabelSplitPosterior",
    "LabelSplitTraining",
    "label_posterior",
]

_PAPERS = LabelSplitWeights()


def label_posterior(outputs: Float[Tensor, "n k"], label_dim: int) -> Posterior:
    """The posterior of z_s: normal, or one point where an encoder gives codes of this length."""
    return Delta(outputs) if outputs.shape[1] == label_dim else normal_posterior(outputs)


class LabelSplitPosterior(CodeDistribution):
    """q(z | x) of whole codes: z_s and z_u are independent, and a flow carries z_u on where the generator has one.

    Args:
        label: Posterior of z_s.
        style: Posterior of z_u, before the flow.
        flow: Of z_u with companion z_s.
    """

    has_rsample = True
    support = constraints.real_vector

    def __init__(self, label: Posterior, style: DiagonalNormal, flow: ConditionalFlow | None = None) -> None:
        self.label, self.style, self.flow = label, style, flow
        super().__init__(label.event_shape[0] + style.event_shape[0], label.loc, label.batch_shape)

    @property
    def mean(self) -> Tensor:
        """The means of both posteriors, the second carried through the flow: for reconstructions and edits.

        These codes show data at their clearest. They hold more of the data, and of labels, than any draw that the decoder
        learned from. Behind a flow this is the image of the mean, not the mean of the images.
        """
        return self._whole(self.label.mean, self.style.mean)

    @checked(differentiable=True)
    def rsample(self, sample_shape: int | Sequence[int] = (), *, rng: torch.Generator | None = None) -> Tensor:
        """Codes `(*sample_shape, *batch, d)`; `rng` makes them reproducible."""
        return self._draw((*sampled_shape(sample_shape), *self.batch_shape), rng)

    @checked(differentiable=True, any_value=("value",))
    def log_prob(self, value: Float[Tensor, "*n d"]) -> Tensor:
        z_s, w = checked_codes(value, self.event_shape).split([self.label.event_shape[0], self.style.event_shape[0]], -1)
        if self.flow is None:
            return self.label.log_prob(z_s) + self.style.log_prob(w)
        flat_s, flat_w = z_s.flatten(0, -2), w.flatten(0, -2)
        z_u = self.flow.inverse(flat_w, flat_s)
        normal = DiagonalNormal(torch.zeros_like(flat_w), torch.ones_like(flat_w))
        log_slope = (self.flow.log_prob(z_u, flat_s) - normal.log_prob(flat_w)).view(w.shape[:-1])
        z_u = z_u.view(w.shape)
        return self.label.log_prob(z_s) + self.style.log_prob(z_u) - log_slope

    def _draw(self, shape: tuple[int, ...], rng: torch.Generator | None) -> Tensor:
        more = shape[: len(shape) - len(self.batch_shape)]
        return self._whole(self.label.rsample(more, rng=rng), self.style.rsample(more, rng=rng))

    def _whole(self, z_s: Tensor, z_u: Tensor) -> Tensor:
        if self.flow is not None:
            z_u = self.flow(z_u.flatten(0, -2), z_s.flatten(0, -2)).view(z_u.shape)
        return torch.cat([z_s, z_u], -1)


@dataclass(frozen=True, repr=False)
class LabelSplit(GenerativeModel):
    """Trained encoders and generator, with the prior of their codes.

    Example:
        >>> import latentry as lt
        >>> split = lt.load_model("digits-split", lt.LabelSplit)
        >>> q = split.encode(lt.load_dataset("digits").images(range(2)))
        >>> z = split.relabelled(q.mean, [3, 3])
        >>> split.decode(z).shape
        torch.Size([2, 1, 28, 28])
    """

    prior: NormalMixture
    """Distribution of whole codes: the mixture over z_s, and N(0, 1) over each coordinate of z_u."""
    label_encoder: nn.Module
    """Data to z_s, or to mean and log variance of it."""
    style_encoder: nn.Module
    """Data to mean and log variance of z_u."""
    label_dim: int
    """Length of z_s, which comes first."""
    least_deviation: float = 0.0
    """Of the posteriors of z_u."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes: as the data call them, else their numbers."""
        names = tuple(map(str, (self.card.get("data") or {}).get("class_names", ())))
        return names if len(names) == self.prior.num_classes else tuple(map(str, range(self.prior.num_classes)))

    @checked()
    def encode(self, x: Float[Tensor, "n *s"], batch_size: int = 500) -> LabelSplitPosterior:
        """The posteriors q(z | x) of the codes of data.

        `mean` serves reconstructions and edits. Draws, `sample(rng=...)`, are what the decoder learned from.

        Args:
            x: Data.
            batch_size: Data that pass the encoders at once.

        Raises:
            ValueError: The encoders make no rows of these data.
        """
        with evaluated(self.label_encoder, self.style_encoder) as (of_label, of_style), torch.no_grad():
            parts = x.to(weights_like(self.label_encoder, x)).split(batch_size)
            outputs = [(of_label(part), of_style(part)) for part in parts]
        labels, styles = (torch.cat(parts) for parts in zip(*outputs, strict=True))
        if labels.ndim != 2 or styles.ndim != 2:
            raise ValueError(
                f"expected data (n, *data_shape) of which encoders make rows, got {tuple(x.shape)}; drop an axis"
            )
        style = normal_posterior(styles, self.least_deviation)
        return LabelSplitPosterior(label_posterior(labels, self.label_dim), style, self.flow)

    @property
    def flow(self) -> ConditionalFlow | None:
        """What made z_u normal whatever z_s is, if anything did."""
        return self.generator.flow if isinstance(self.generator, FlowDecoder) else None

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
        if not isinstance(self.generator, FlowDecoder):
            return self
        return dataclasses.replace(self, generator=self.generator.decoder)

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

    def _facts(self) -> Facts:
        d = self.prior.latent_dim
        return Facts(
            f"Label split: codes of {d} elements, the first {self.label_dim} of which know the label",
            (
                ("labels", f"{self.prior.num_classes}"),
                ("generator", type(self.generator).__name__),
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
            label = self._label_posterior(jitter(x, **self.extent, rng=rng) if any(self.extent.values()) else x)
            placement = self._placement(label, label.rsample(rng=rng), y)
            update({"placement": placement, "precision": placement})
            mixture.limit_()

        label = self._label_posterior(x)
        style = normal_posterior(self.networks["style-encoder"](x), self.least_deviation)
        z_s, z_u = label.rsample(rng=rng), style.rsample(rng=rng)
        x_hat = self.networks["decoder"](torch.cat([z_s, z_u], 1))
        shown = {"accuracy": self._accuracy(label.mean, y)}
        shown |= self._teach_adversary(style, y, rng, update)

        weights = self.weights
        placement = self._placement(label, z_s, y)
        reconstruction = (x_hat - x).square().mean()
        divergence = kl_divergence(style, standard_normal(style)).mean() / self.style_dim
        total = weights.reconstruction * reconstruction + weights.divergence * divergence
        total = total + weights.pull * self._likelihood(label, y)
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
        return LabelSplit(self.networks["decoder"], self._prior(), *encoders, self.label_dim, self.least_deviation)

    def _prior(self) -> NormalMixture:
        mixture: Any = self.networks["mixture"]
        return mixture.settled(self.probs).beside_normal(self.style_dim)

    def _label_posterior(self, x: Tensor) -> Posterior:
        return label_posterior(self.networks["label-encoder"](x), self.label_dim)

    def _likelihood(self, label: Posterior, y: Tensor) -> Tensor:
        """L_lkd, or the divergence in its place where z_s has a posterior."""
        component = self.networks["mixture"](y)
        if isinstance(label, Delta):
            return mixture_likelihood_loss(label.mean, component)
        return kl_divergence(label, component).mean()

    def _placement(self, label: Posterior, z_s: Tensor, y: Tensor) -> Tensor:
        mixture: Any = self.networks["mixture"]
        classification = mixture_classification_loss(z_s, y, mixture.loc, mixture.precision, self.weights.margin)
        return classification + self.weights.likelihood * self._likelihood(label, y)

    def _teach_adversary(self, style: DiagonalNormal, y: Tensor, rng: torch.Generator, update: Update) -> dict[str, Tensor]:
        """C learns to read labels from z_u, by draws or means."""
        if not self.weights.confusion:
            return {}
        for _ in range(self.adversary_steps):
            seen = style.mean.detach() if self.adversary_sees == "means" else style.sample(rng=rng)
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
