"""A stream of codes with labels, which a classifier gives to the generator's images of these codes.

A label is read off G(z), whatever the code came from: also for codes of data it is the label of the reconstruction, since a
direction has to do in the generator what it is named for.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn.functional import one_hot

from latentry.holding import Condition, called, evaluated, weights_like
from latentry.holding.conditions import cycled, drawn_rows, rows_at
from latentry.interfaces import Generator, Prior
from latentry.network_outputs import logits_of
from latentry.numerics.data_range import check_range
from latentry.numerics.group_moments import GroupMoments, group_moments, merge_groups
from latentry.priors.adapters import draw

__all__ = ["Labeller", "Labelled", "Weighting", "codes_like", "labelled_codes", "labelled_data", "labelling"]

Weighting = Literal["confidence", "count"]
"""Each code counts for every label by its probability, or once, for the likeliest."""

_SAMPLE_SIZE = 1000
"""Codes of which the typical norm is the median."""
_RANGE_CODES = 64
"""The generator's own data, by which its range is known."""


@dataclass(frozen=True)
class Labelled:
    """What is kept of labelled codes."""

    groups: GroupMoments
    """Their moments by label."""
    sample: Float[Tensor, "s d"]
    """The first of them."""

    def typical_norm(self, offset: Float[Tensor, "d"]) -> float:
        """Median distance of codes to the offset; there is one for every prior, while a mean need not exist."""
        return (self.sample.to(offset) - offset).norm(dim=1).median().item()

    def check(self, fewest: int, tried: int) -> None:
        """Make sure that each label has as many codes as its mean needs.

        Raises:
            ValueError: One has not; the message names it.
        """
        counts = self.groups.counts
        missing = (counts == 0).nonzero().flatten().tolist()
        if missing:
            raise ValueError(
                f"expected codes of every label, got none of {tried} for {_named(missing)}: it is never predicted; "
                "leave it out of the classifier's labels, try more codes, or give codes of data that have it"
            )
        if counts.min() < fewest:
            rarest = int(counts.argmin())
            raise ValueError(
                f"expected at least {fewest} codes of each label, got {int(counts[rarest])} for label {rarest} "
                f"of {tried} tried; try more, or ask for fewer"
            )


def codes_like(function: Generator, prior: Prior) -> Tensor:
    """A tensor of the dtype and on the device of the weights behind a callable, or of the prior's codes."""
    return weights_like(function, draw(prior, (0,)))


class Labeller:
    """Class probabilities of codes, read off what a generator makes of them."""

    def __init__(
        self,
        generator: Generator,
        classifier: Callable[[Tensor], Tensor],
        prior: Prior,
        encoder: Callable[[Tensor], Tensor] | None,
        like: Tensor,
        condition: Condition | None,
    ) -> None:
        self.generator, self.classifier, self.prior, self.encoder, self.like = generator, classifier, prior, encoder, like
        self.condition = condition

    @cached_property
    def num_labels(self) -> int:
        """Number of the classifier's labels."""
        device = draw(self.prior, (0,)).device
        return self(draw(self.prior, (2,), rng=torch.Generator(device).manual_seed(0)), cycled(self.condition, 2)).shape[1]

    def made(self, z: Float[Tensor, "n d"], condition: Condition | None) -> Tensor:
        """What the generator makes of codes, under the condition of each."""
        x: Tensor = called(self.generator, z.to(self.like), condition)
        return x

    def __call__(self, z: Float[Tensor, "n d"], condition: Condition | None) -> Float[Tensor, "n k"]:
        """Probability of each label for each code, under the condition of each.

        Raises:
            ValueError: The classifier gives no finite logits `(n, k)`.
        """
        logits = logits_of(self.classifier(self.made(z, condition)))
        if logits.ndim != 2 or len(logits) != len(z):
            raise ValueError(
                f"expected logits (n, k) for n = {len(z)} data, got {tuple(logits.shape)}; wrap the classifier in a lambda"
            )
        if not logits.isfinite().all():
            raise ValueError("expected finite logits, got NaN or infinity; look at what the generator makes")
        return logits.float().softmax(1).to(z.device)


@contextmanager
def labelling(
    generator: Generator,
    classifier: Callable[[Tensor], Tensor],
    prior: Prior,
    encoder: Callable[[Tensor], Tensor] | None,
    condition: Condition | None = None,
) -> Iterator[Labeller]:
    """A labeller, with its networks in eval mode and without gradients meanwhile."""
    with evaluated(generator, classifier, encoder, prior) as (decode, classify, encode, _), torch.no_grad():
        yield Labeller(decode, classify, prior, encode, codes_like(generator, prior), condition)


def labelled_codes(
    label: Labeller,
    per_label: int,
    weighting: Weighting,
    batch_size: int,
    draws: int,
    rng: torch.Generator | None,
    count: Callable[[int], None],
) -> Labelled:
    """Codes of the prior, under conditions that are drawn, until each label has `per_label` or `draws` are tried."""
    room = _Room(label.num_labels, per_label, weighting)
    tried = 0
    while tried < draws and not room.full:
        z = draw(label.prior, (min(batch_size, draws - tried),), rng=rng)
        room.take(z, label(z, drawn_rows(label.condition, len(z), rng)))
        tried += len(z)
        count(len(z))
    return room.taken()


def labelled_data(
    label: Labeller,
    x: Shaped[Tensor, "n *s"],
    per_label: int,
    weighting: Weighting,
    batch_size: int,
    count: Callable[[int], None],
) -> Labelled:
    """Codes of data, each with its own condition, until each label has `per_label` or the data end.

    Raises:
        ValueError: There are no data, they are in another range than what the generator makes, or the encoder's codes are of
            another shape.
    """
    assert label.encoder is not None, "only data that are encoded have codes"
    if len(x) == 0:
        raise ValueError("expected data to encode, got none; pass some, or leave out the encoder")
    codes = draw(label.prior, (_RANGE_CODES,), rng=torch.Generator(draw(label.prior, (0,)).device).manual_seed(0))
    own = label.made(codes, cycled(label.condition, _RANGE_CODES))
    check_range(x, own)
    room = _Room(label.num_labels, per_label, weighting)
    for rows in torch.arange(len(x)).split(batch_size):
        part = x[rows]
        z = label.encoder(part)
        if z.shape != (len(part), label.prior.latent_dim):
            raise ValueError(
                f"expected codes of shape ({len(part)}, {label.prior.latent_dim}) from the encoder, got {tuple(z.shape)}"
            )
        room.take(z, label(z, rows_at(label.condition, rows)))
        count(len(part))
        if room.full:
            break
    return room.taken()


class _Room:
    """Moments of labelled codes, of which each label takes no more than its share where they are counted."""

    def __init__(self, num_labels: int, per_label: int, weighting: Weighting) -> None:
        self.num_labels, self.per_label, self.weighting = num_labels, per_label, weighting
        self.groups: GroupMoments | None = None
        self.sample: list[Tensor] = []

    @property
    def full(self) -> bool:
        return self.groups is not None and int(self.groups.counts.min()) >= self.per_label

    def take(self, z: Float[Tensor, "n d"], probabilities: Float[Tensor, "n k"]) -> None:
        weights = probabilities
        if self.weighting == "count":
            weights = one_hot(probabilities.argmax(1), self.num_labels).to(probabilities)
            before = weights.cumsum(0) if self.groups is None else weights.cumsum(0) + self.groups.counts.to(weights)
            fits = (weights * (before <= self.per_label)).sum(1) > 0
            z, weights = z[fits], weights[fits]
        if len(z) == 0:
            return
        found = group_moments(z, weights)
        self.groups = found if self.groups is None else merge_groups(self.groups, found)
        if sum(map(len, self.sample)) < _SAMPLE_SIZE:
            self.sample.append(z)

    def taken(self) -> Labelled:
        assert self.groups is not None  # at least one code was tried, and the first one always fits
        return Labelled(self.groups, torch.cat(self.sample)[:_SAMPLE_SIZE])


def _named(labels: list[int]) -> str:
    return f"label{'s' * (len(labels) > 1)} {', '.join(map(str, labels))}"
