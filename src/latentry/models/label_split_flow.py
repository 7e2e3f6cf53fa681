r"""Two steps after the training of a label split: remove label information from z_u, and fit posteriors to the prior.

After training, z_u still holds some label information, and the encoded codes of all data together are not N(0, I), so
samples of the prior differ from the codes that the decoder was trained on. Both faults are parts of one quantity. With w
the code after a flow :math:`w = T_{z_s}(z_u)` (`networks.conditional_flow`),

.. math:: E_{z_s} \operatorname{KL}(q(w | z_s) \,\|\, N(0, I)) = I(w; z_s) + \operatorname{KL}(q(w) \,\|\, N(0, I)),

the mutual information of w and z_s, an upper bound on the label information in w, plus the divergence of the aggregated
codes from the prior. A flow that is fitted to the codes of data by maximum likelihood minimises the left side: it is the
cross entropy minus the entropy of the codes. The flow is invertible, so no information on the data is lost, and
reconstructions stay the same. Afterwards it is a part of the decoder (`networks.flow_decoder`).

The minimum is not unique: a rotation of w that differs for each z_s keeps the distribution normal. Then the same w would be
a different style for each label. So the flow has two parts: one that is the same for all z_s, :math:`u = S(z_u)`, and a
correction :math:`w = T_{z_s}(u)` with a penalty :math:`\lambda E |w - u|^2`, the cost of optimal transport. Of all maps
that remove the label information it changes styles least.

The flow is fitted to *draws* of the encoder's posteriors, new ones in each iteration, since a distribution on a thin
surface has no finite map to N(0, I). `least_deviation` of the training keeps the posteriors from becoming too narrow.
Posterior means are not used: they hold more information on the data and labels than the decoder has ever seen.

The mixture over z_s is fitted again as well, with the mean and the deviation of the codes of each class, since the
classification loss has moved its components apart.

References: Dinh, Sohl-Dickstein, Bengio, "Density estimation using Real NVP", 2017; Dai and Wipf, "Diagnosing and enhancing
VAE models", 2019, and Ghosh et al., "From variational to deterministic autoencoders", 2020 (posteriors of codes fitted after
training); the decomposition: Hoffman and Johnson, "ELBO surgery", 2016.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate.accelerator import Accelerator
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.optim import Adam

from latentry.display.progress import Progress
from latentry.models.label_split import LabelSplit
from latentry.models.posteriors import Delta, Posterior, parameters, selected
from latentry.networks import ConditionalFlow, FlowDecoder
from latentry.priors import DiagonalNormal, NormalMixture
from latentry.training.loop import Update, train
from latentry.training.settings import LoopSettings

__all__ = ["EncodedData", "FlowTraining", "behind_flow", "refitted_prior", "settled"]

_BATCH = 256


class EncodedData:
    """The posteriors of the codes of all data, as items to draw batches from.

    Args:
        label: Posteriors of z_s.
        style: Posteriors of z_u, before any flow.
    """

    def __init__(self, label: Posterior, style: DiagonalNormal) -> None:
        self.label, self.style = label, style

    def __len__(self) -> int:
        return len(self.label.loc)

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        """The parameters of both posteriors of these data, those of z_u last."""
        rows = torch.as_tensor(list(indices))
        return *parameters(selected(self.label, rows)), *parameters(selected(self.style, rows))


class FlowTraining:
    """A flow of z_u with companion z_s, and the step that fits it to draws of their posteriors by maximum likelihood.

    Args:
        data: All posteriors of the training data, whose moments the flow takes as its own.
        displacement: Price of what z_s displaces, in nats per squared deviation, not negative.
        learning_rate: Learning rate of Adam.
        sizes: Of `ConditionalFlow`.

    Raises:
        ValueError: The price is negative.
    """

    def __init__(self, data: EncodedData, displacement: float = 0.03, learning_rate: float = 3e-3, **sizes: Any) -> None:
        if displacement < 0:
            raise ValueError(f"expected a price of displacements of 0 or more, got {displacement}")
        self.displacement = displacement
        flow = ConditionalFlow(data.style.event_shape[0], data.label.event_shape[0], **sizes)
        rng = torch.Generator(data.style.loc.device).manual_seed(0)
        flow.standardise_(data.style.sample(rng=rng).cpu(), data.label.sample(rng=rng).cpu())
        self.networks: dict[str, nn.Module] = {"flow": flow}
        self.averages: dict[str, Any] = {}
        self.optimizers: dict[str, Any] = {"flow": Adam(flow.parameters(), lr=learning_rate, fused=True)}

    def step(self, batch: tuple[Tensor, ...], rng: torch.Generator, update: Update) -> dict[str, Tensor]:
        """One iteration: the mean negative log-likelihood of z_u given z_s, in nats, and what z_s displaces."""
        flow: Any = self.networks["flow"]
        *label, loc, scale = batch
        z_s = (DiagonalNormal if len(label) == 2 else Delta)(*label).sample(rng=rng)
        z_u = DiagonalNormal(loc, scale).sample(rng=rng)
        log_prob, displaced = (values.mean() for values in flow.displaced(z_u, z_s))
        update({"flow": self.displacement * displaced - log_prob})
        return {"negative log-likelihood": -log_prob, "displacement": displaced}


def settled(
    split: LabelSplit,
    data: EncodedData,
    y: Int[Tensor, "n"],
    folder: Path,
    *,
    steps: int,
    seed: int,
    accelerator: Accelerator,
    identity: Mapping[str, Any],
    progress: Progress = True,
) -> LabelSplit:
    """A trained split behind a flow fitted to the posteriors of its training data, with its mixture fitted anew.

    Args:
        split: The split, its class probabilities in its prior.
        data: Posteriors of the codes of the training data.
        y: Their labels.
        folder: Where checkpoints of the flow go; with some there it goes on from the last.
        steps: Iterations.
        seed, accelerator, identity, progress: As for `latentry.training.loop.train`.

    Raises:
        ValueError: A class has fewer than two data, or a checkpoint belongs to another run.
    """
    training = FlowTraining(data)
    loop = LoopSettings(steps, min(_BATCH, len(data)), "cosine", max(1, steps // 3))
    train(
        training, data, loop, folder, seed=seed, accelerator=accelerator, identity={**identity, "flow": vars(loop)},
        progress=progress,
    )  # fmt: skip
    style_dim = data.style.event_shape[0]
    prior = refitted_prior(data.label, y, split.prior.probs.cpu(), style_dim).to(accelerator.device)
    flow: Any = training.networks["flow"]
    return behind_flow(dataclasses.replace(split, prior=prior), flow)


def behind_flow(split: LabelSplit, flow: ConditionalFlow) -> LabelSplit:
    """The split whose z_u is what the flow makes of it, and whose generator takes that back."""
    return dataclasses.replace(split, generator=FlowDecoder(split.generator, flow).to(flow.loc.device).eval())


def refitted_prior(
    label: Posterior, y: Int[Tensor, "n"], probs: Float[Tensor, "k"], style_dim: int, least: float = 1e-3
) -> NormalMixture:
    """The prior whose components over z_s have mean and deviation of the codes of each class.

    Args:
        label: Posteriors of z_s of training data.
        y: Their labels.
        probs: Probabilities of the classes.
        style_dim: Length of z_u, which is N(0, I).
        least: Least deviation of a component.

    Raises:
        ValueError: A class has fewer than two data.
    """
    counts = torch.bincount(y.cpu(), minlength=len(probs))
    if counts.min() < 2:
        raise ValueError(f"expected two data or more of each class, got {counts.tolist()}")
    groups = [selected(label, (y == c).nonzero()[:, 0].to(label.loc.device)) for c in range(len(probs))]
    loc = torch.stack([group.mean.mean(0) for group in groups])
    scale = torch.stack([(group.mean.var(0) + group.variance.mean(0)).sqrt() for group in groups])
    return NormalMixture(loc, scale.clamp(min=least), probs).beside_normal(style_dim)
