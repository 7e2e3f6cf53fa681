"""Who judges what a verb did. No model is its own examiner, and no label is read from what is no image any more.

A headline of success needs a reader that neither made the images nor led the edit: a second classifier that is asked for,
or the shipped one where the generator makes what it was trained on. It needs images too: a generator that makes one blob of
all codes satisfies any reader that calls it an 8. Where either is missing a report says "Not judged", why, and what to do.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from latentry.evaluation.proportions import Share
from latentry.holding import evaluated
from latentry.models.classifier import Classifier
from latentry.models.generative import GenerativeModel
from latentry.models.pretrained import model_folder, shipped_models
from latentry.models.saving import load_model
from latentry.names import printable
from latentry.storage import read_json
from latentry.tasks.class_names import Reordered, column_order, label_names, listed

__all__ = [
    "UNREAD",
    "Judged",
    "Made",
    "Reader",
    "alike",
    "beside_doubts",
    "class_count",
    "collapsed",
    "fitting",
    "independent_reader",
    "made_by",
    "spread",
    "unlike",
    "unmade",
    "unsettled",
    "verdict",
]

_READERS = {"digits": "digits-judge", "stroke-digits": "digits-judge", "fashion-mnist": "fashion-judge"}
"""Shipped classifiers that guide nothing, by the data that they read."""
_SAME_LABELS = {"stroke-digits": "digits"}
"""Data sets with the classes of another."""
_ALIKE = 0.02
"""Share of the variance of pixels that is between images, below which a sheet shows one image again and again."""
_SAMPLES = 64
_SECOND = "pass --reader with a second classifier of the same class names"
UNREAD = f"nothing but the model itself and its own classifier read the labels; {_SECOND}"
"""Why nothing is judged without a reader."""
_LOST = 0.5
"""Squared error over the variance of images, above which they were not made again; their mean has 1."""


@dataclass(frozen=True)
class Made:
    """What a generator makes."""

    shape: tuple[int, ...]
    """Shape of one image."""
    data: str | None
    """Name of the data set they are like, where it is known."""


@dataclass(frozen=True)
class Reader:
    """A classifier of images."""

    name: str
    """What it is called in reports: its name or folder."""
    network: nn.Module
    weights: str
    """Hash of them."""
    classes: tuple[str, ...]
    """Names of its classes, in the order of its logits; their numbers where they have no names."""
    accuracy: Share | None
    """On held-out data, where its card says."""

    @property
    def num_classes(self) -> int:
        """How many classes it tells apart."""
        return len(self.classes)

    def in_order(self, classes: Sequence[str]) -> "Reader | None":
        """The same classifier with these classes first, by name, in this order; None where it lacks one of them."""
        order = column_order(self.classes, classes)
        if order is None or order == list(range(self.num_classes)):
            return None if order is None else self
        return replace(self, network=Reordered(self.network, order), classes=tuple(self.classes[index] for index in order))

    def __str__(self) -> str:
        known = "its accuracy is not known" if self.accuracy is None else f"{self.accuracy.value:.1%} right on held-out data"
        return f"{self.name} ({known})"


@dataclass(frozen=True)
class Judged:
    """Whether there is a judge, and whether there is something to judge."""

    by: Reader | None
    """The independent reader; None where there is none."""
    doubts: tuple[str, ...]
    """Why no success may be claimed, each with the way out; none where it may."""

    def numbers(self) -> dict[str, Any]:
        """The same as JSON holds it."""
        return {"by": None if self.by is None else str(self.by), "doubts": list(self.doubts)}

    def headline(self, said: str) -> str:
        """What is said where it is judged, with its judge; why it is not, where it is not."""
        return unsettled(self.doubts) if self.doubts or self.by is None else f"{said}, by {self.by}"


def unsettled(doubts: Sequence[str]) -> str:
    """What is said in place of a success, with the reasons."""
    return f"Not judged: {'; '.join(doubts)}"


def made_by(name_or_path: str, shape: Sequence[int]) -> Made:
    """What the generator of this name or folder makes: images of this shape, of the data that its card names."""
    card = read_json(model_folder(name_or_path) / "config.json").get("card", {})
    return Made(tuple(shape), _data_of(card))


def _data_of(card: dict[str, Any]) -> str | None:
    """`digits` of a card that says `digits/train[0 of 2]`."""
    name = card.get("data", {}).get("name")
    return name.rpartition("/")[0] or name if isinstance(name, str) else None


def fitting(name_or_path: str, made: Made, flag: str, device: torch.device) -> Reader:
    """A saved classifier that reads the images that a generator makes.

    Args:
        name_or_path: A shipped classifier by name, or the folder of your own.
        made: What the generator makes.
        flag: How the classifier was asked for, such as `--classifier`.
        device: Where to.

    Raises:
        ValueError: There is no such model, it is a generator, it reads images of another shape, or it is a shipped one and
            reads other things than the generator makes.
    """
    model = load_model(name_or_path, Classifier)
    classes = label_names(name_or_path, class_count(model, name_or_path, made, flag))
    return Reader(printable(name_or_path), model.network.to(device), model.fingerprint, classes, _accuracy(model))


def class_count(model: Classifier, name_or_path: str, made: Made, flag: str) -> int:
    """Classes of a classifier, which reads the images that a generator makes.

    Raises:
        ValueError: It does not, as in `fitting`.
    """
    shown = printable(name_or_path)
    shape = " x ".join(map(str, made.shape))
    advice = f"pass {flag} with the folder of one that `latentry train classifier` made of images of {shape}"
    known = tuple(model.card.get("data", {}).get("shape", made.shape))
    if known != made.shape:
        raise ValueError(
            f"expected a classifier of images of {shape}, as the generator makes them, got {shown}, trained on "
            f"{' x '.join(map(str, known))}; {advice}"
        )
    try:
        with evaluated(model.network), torch.no_grad():
            num_classes = int(model.network(torch.zeros(1, *made.shape)).shape[1])
    except (RuntimeError, IndexError) as error:
        raise ValueError(
            f"expected a classifier of images of {shape}, as the generator makes them, got one that refuses them, {shown} "
            f"({str(error).splitlines()[0]}); {advice}"
        ) from None
    reads = _data_of(model.card)
    if name_or_path in shipped_models() and None not in (reads, made.data) and _labels(reads) != _labels(made.data):
        raise ValueError(
            f"expected a classifier of {made.data}, got {shown}, which reads {reads}; pass {flag} with the folder of one "
            f"that `latentry train classifier --data {made.data}` made"
        )
    return num_classes


def _labels(data: str | None) -> str | None:
    return _SAME_LABELS.get(data or "", data)


def _accuracy(model: Classifier) -> Share | None:
    found = model.card.get("metrics", {}).get("held-out")
    return Share(**found) if isinstance(found, dict) and set(found) == {"value", "low", "high", "trials"} else None


def independent_reader(
    asked: str | None,
    made: Made,
    device: torch.device,
    classes: Sequence[str],
    *weights: str,
    exactly: bool = False,
) -> tuple[Reader | None, str]:
    """The reader that is asked for, or the shipped one of what a generator makes, with these classes first, by name.

    Args:
        asked: A classifier by name or folder, or None for the shipped one.
        made: What the generator makes.
        device: Where to.
        classes: Names of the labels that it is to read, in their order; none where no label is compared with its own.
        weights: Hashes of the classifiers that have a say in what is to be judged.
        exactly: Whether it may have no other classes.

    Returns:
        The reader, or None where there is none that is independent and knows these classes; and why there is none.

    Raises:
        ValueError: As in `fitting`, for one that is asked for; or it lacks one of the classes.
    """
    name = _READERS.get(made.data or "") if asked is None else asked
    if name is None:
        return None, UNREAD
    try:
        found = fitting(name, made, "--reader", device)
    except ValueError:
        if asked is not None:
            raise
        return None, UNREAD
    if found.weights in weights:
        return None, UNREAD
    reader = found.in_order(classes)
    if reader is not None and not (exactly and reader.num_classes > len(classes)):
        return reader, ""
    if asked is None:
        return None, f"{found.name} has the classes {listed(found.classes)} and not {listed(classes)}; {_SECOND}"
    raise ValueError(
        f"expected --reader with the classes {listed(classes)}, since labels are compared by name, got {found.name} with "
        f"{listed(found.classes)}; {_SECOND}, or leave --reader out"
    )


def alike(x: Float[Tensor, "n *s"]) -> bool:
    """Whether images, two or more, are all but the same."""
    whole = x.double().var()
    return len(x) > 1 and bool((x.double().var(0).mean() <= _ALIKE * whole) | (whole <= torch.finfo(x.dtype).eps))


def spread(x: Float[Tensor, "n *s"]) -> float:
    """Variance of images about their mean image; of the pixels of one image, or of equal ones, about their mean."""
    x = x.double()
    return float(x.var(0).mean() if len(x) > 1 and not alike(x) else x.var())


def unlike(x: Float[Tensor, "n *s"], x_hat: Float[Tensor, "n *s"]) -> float:
    """Squared error of what was made of images over their variance: 0 for the images, 1 for their mean."""
    return (x_hat.double() - x.double()).square().mean().item() / max(spread(x), torch.finfo(torch.float32).eps)


def unmade(x: Float[Tensor, "n *s"], error: Float[Tensor, "n"]) -> tuple[str, ...]:
    """Why the codes of images say nothing of these; nothing where they do.

    Args:
        x: The images.
        error: Mean squared error of what the generator makes of each code.
    """
    lost = error.double().mean().item() / max(spread(x), torch.finfo(torch.float32).eps)
    if lost <= _LOST:
        return ()
    said = f"the codes do not make the images again (squared error {lost:.0%} of their variance)"
    return (f"{said}; find better codes, or give images like those that the generator was trained on",)


def beside_doubts(said: str, doubts: Sequence[str]) -> str:
    """The verdict on codes, where there are doubts with these before it and as one on the codes alone."""
    return f"{unsettled(doubts)}. (Of the codes alone: {said})" if doubts else said


def verdict(
    reader: Reader | None,
    made: Float[Tensor, "n *s"],
    x: Float[Tensor, "n *s"] | None = None,
    x_hat: Float[Tensor, "n *s"] | None = None,
    *,
    unread: str = UNREAD,
) -> Judged:
    """Whether what was made may be judged, and by whom.

    Args:
        reader: The independent reader; None where there is none.
        made: The images that are read.
        x: Images that codes were found for, where there are some.
        x_hat: What the generator makes of these codes, before anything is done to them.
        unread: What to say where there is no reader, with the way out.
    """
    doubts = [] if x is None or x_hat is None else [*unmade(x, (x_hat - x).square().flatten(1).mean(1))]
    if alike(made):
        doubts.append(
            "the images that were made are all but the same; the generator has collapsed or was trained too little"
        )
    if reader is None:
        doubts.append(unread)
    elif reader.num_classes < 2 or (reader.accuracy is not None and reader.accuracy.low <= 1 / reader.num_classes):
        doubts.append(f"{reader} does no better than chance; pass a better one with --reader")
    return Judged(reader, tuple(doubts))


def collapsed(model: GenerativeModel) -> list[str]:
    """A sentence where all samples of a generator are all but the same."""
    x = model.decode(model.prior.sample(_SAMPLES, rng=torch.Generator().manual_seed(0)))
    return [
        "samples of all codes are all but the same image; the generator has collapsed or was trained too little"
    ] * alike(x)
