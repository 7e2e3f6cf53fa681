r"""The label split: codes :math:`z = (z_s, z_u)` whose first part holds the label and whose second part holds the style.

Encoder S gives :math:`z_s`, encoder U a normal posterior of :math:`z_u`, and the decoder makes :math:`\hat x` from both. The
prior of :math:`z_s` is a normal mixture with one component for each class (`label_split_losses`), that of :math:`z_u` is
N(0, I). An adversary C is trained to predict labels from :math:`z_u`, and encoder U is trained so that its predictions are
uninformative. With a discriminator D of images and labels the model is also a GAN, whose samples are
:math:`G(\mu_{y'} + \epsilon / \sqrt{\lambda_{y'}}, \, z_u \sim N(0, I))`.

The losses and the parameters that they train are in `label_split_training`.

References: Zheng and Sun, "Disentangling latent space for VAE by label relevant/irrelevant dimensions", 2019.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.distributions import constraints

from latentry.display import Facts
from latentry.holding import evaluated, weights_like
from latentry.models.generative import GenerativeModel
from latentry.models.posteriors import Delta, Posterior, normal_posterior
from latentry.networks import ConditionalFlow, FlowDecoder
from latentry.numerics.inputs import checked
from latentry.priors import DiagonalNormal, NormalMixture
from latentry.priors.distribution import CodeDistribution, checked_codes, sampled_shape

__all__ = [
    "LabelSplit",
    "LabelSplitPosterior",
    "label_posterior",
]


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
