"""The evaluation classifier of a verb, and whether there is anything to evaluate.

A success of an edit needs a classifier that neither made the images nor led the edit: one that is named with
`--evaluation_classifier`, or the shipped one where the generator makes its data. It needs images too: of a generator that
makes one image of all codes any classifier could report a success. Where either is missing a report says "Not evaluated",
why, and what to do.
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
from latentry.models.pretrained import is_model, model_folder, shipped_models
from latentry.models.saving import load_model
from latentry.names import printable
from latentry.storage import read_json
from latentry.tasks.class_names import Reordered, column_order, label_names, listed

__all__ = [
    "NO_CLASSIFIER",
    "Evaluation",
    "GeneratedData",
    "SavedClassifier",
    "all_alike",
    "beside_doubts",
    "class_count",
    "collapse_notes",
    "evaluation",
    "evaluation_classifier",
    "generated_data",
    "image_variance",
    "load_classifier",
    "reconstruction_doubts",
    "relative_error",
]

_SHIPPED = {"digits": "digits-evaluator", "stroke-digits": "digits-evaluator", "fashion-mnist": "fashion-evaluator"}
"""Shipped evaluation classifiers, which took part in no training, by the data that they classify."""
_SAME_LABELS = {"stroke-digits": "digits"}
"""Data sets with the classes of another."""
_ALIKE = 0.02
"""Share of the variance of pixels that is between images, below which a sheet shows one image again and again."""
_SAMPLES = 64
_SECOND = "pass --evaluation_classifier with a second classifier of the same class names"
NO_CLASSIFIER = f"no classifier but the one of the model itself gives the labels; {_SECOND}"
"""Why nothing is evaluated without an evaluation classifier."""
_LOST = 0.5
"""Squared error over the variance of images, above which they are not reconstructed; their mean has 1."""


@dataclass(frozen=True)
class GeneratedData:
    """What a generator makes."""

    shape: tuple[int, ...]
    """Shape of one image."""
    data: str | None
    """Name of the data set that it was trained on, where its card names it."""


@dataclass(frozen=True)
class SavedClassifier:
    """A saved classifier of images, and what its card says of it."""

    name: str
    """Its name or folder."""
    network: nn.Module
    """Images to logits."""
    weights: str
    """Hash of its weights."""
    classes: tuple[str, ...]
    """Names of its classes, in the order of its logits; their numbers where they have no names."""
    accuracy: Share | None
    """On held-out data; None where it is not known."""

    @property
    def num_classes(self) -> int:
        """Number of its classes."""
        return len(self.classes)

    def in_order(self, classes: Sequence[str]) -> "SavedClassifier | None":
        """The same classifier with these classes first, by name, in this order; None where it lacks one of them."""
        order = column_order(self.classes, classes)
        if order is None or order == list(range(self.num_classes)):
            return None if order is None else self
        return replace(self, network=Reordered(self.network, order), classes=tuple(self.classes[index] for index in order))

    def __str__(self) -> str:
        known = "its accuracy is not known" if self.accuracy is None else f"{self.accuracy.value:.1%} right on held-out data"
        return f"{self.name} ({known})"


@dataclass(frozen=True)
class Evaluation:
    """Who evaluates the labels of images, and why a success would mean nothing."""

    classifier: SavedClassifier | None
    """The evaluation classifier; None where there is none."""
    doubts: tuple[str, ...]
    """Why no success can be reported, each with the way out; none where it can."""

    def numbers(self) -> dict[str, Any]:
        """The same as JSON holds it."""
        return {"classifier": None if self.classifier is None else str(self.classifier), "doubts": list(self.doubts)}

    def headline(self, success: str) -> str:
        """The success with its classifier, or why it is not evaluated."""
        return _not_evaluated(self.doubts) if self.doubts or self.classifier is None else f"{success}, by {self.classifier}"


def _not_evaluated(doubts: Sequence[str]) -> str:
    return f"Not evaluated: {'; '.join(doubts)}"


def generated_data(name_or_path: str, shape: Sequence[int]) -> GeneratedData:
    """What the generator of this name or folder makes: images of this shape, of the data that its card names."""
    card = read_json(model_folder(name_or_path) / "config.json").get("card", {}) if is_model(name_or_path) else {}
    return GeneratedData(tuple(shape), _data_of(card))


def _data_of(card: dict[str, Any]) -> str | None:
    """`digits` of a card that says `digits/train[0 of 2]`."""
    name = card.get("data", {}).get("name")
    return name.rpartition("/")[0] or name if isinstance(name, str) else None


def load_classifier(name_or_path: str, generated: GeneratedData, flag: str, device: torch.device) -> SavedClassifier:
    """A saved classifier of the images that a generator makes.

    Args:
        name_or_path: A shipped classifier by name, or the folder of your own.
        generated: What the generator makes.
        flag: The setting that names the classifier, such as `--classifier`.
        device: Where to compute.

    Raises:
        ValueError: There is no such model, it is a generator, it takes images of another shape, or it is a shipped one and
            classifies other data than the generator makes.
    """
    model = load_model(name_or_path, Classifier)
    classes = label_names(name_or_path, class_count(model, name_or_path, generated, flag))
    return SavedClassifier(printable(name_or_path), model.network.to(device), model.fingerprint, classes, _accuracy(model))


def class_count(model: Classifier, name_or_path: str, generated: GeneratedData, flag: str) -> int:
    """Number of classes of a classifier of the images that a generator makes.

    Raises:
        ValueError: It takes no such images, as in `load_classifier`.
    """
    name = printable(name_or_path)
    shape = " x ".join(map(str, generated.shape))
    advice = f"pass {flag} with the folder of one that `latentry train classifier` made of images of {shape}"
    known = tuple(model.card.get("data", {}).get("shape", generated.shape))
    if known != generated.shape:
        raise ValueError(
            f"expected a classifier of images of {shape}, as the generator makes them, got {name}, trained on "
            f"{' x '.join(map(str, known))}; {advice}"
        )
    try:
        with evaluated(model.network), torch.no_grad():
            num_classes = int(model.network(torch.zeros(1, *generated.shape)).shape[1])
    except (RuntimeError, IndexError) as error:
        raise ValueError(
            f"expected a classifier of images of {shape}, as the generator makes them, got one that refuses them, {name} "
            f"({str(error).splitlines()[0]}); {advice}"
        ) from None
    data = _data_of(model.card)
    if name_or_path in shipped_models() and None not in (data, generated.data) and _labels(data) != _labels(generated.data):
        raise ValueError(
            f"expected a classifier of {generated.data}, got {name}, which classifies {data}; pass {flag} with the "
            f"folder of one that `latentry train classifier --data {generated.data}` made"
        )
    return num_classes


def _labels(data: str | None) -> str | None:
    return _SAME_LABELS.get(data or "", data)


def _accuracy(model: Classifier) -> Share | None:
    found = model.card.get("metrics", {}).get("held-out")
    return Share(**found) if isinstance(found, dict) and set(found) == {"value", "low", "high", "trials"} else None


def evaluation_classifier(
    name_or_path: str | None,
    generated: GeneratedData,
    device: torch.device,
    classes: Sequence[str],
    *weights: str,
    exactly: bool = False,
) -> tuple[SavedClassifier | None, str]:
    """The classifier that evaluates an edit, with these classes first, by name.

    Args:
        name_or_path: A classifier by name or folder; None for the shipped one of the data that the generator makes.
        generated: What the generator makes.
        device: Where to compute.
        classes: Names of the labels, in their order; none where no label is compared with a class.
        weights: Hashes of the classifiers that take part in the edit.
        exactly: Whether it may have no other classes.

    Returns:
        The classifier, or None where there is none that took no part in the edit and has these classes; and why not.

    Raises:
        ValueError: As in `load_classifier`, for one that is named; or it lacks one of the classes.
    """
    name = _SHIPPED.get(generated.data or "") if name_or_path is None else name_or_path
    if name is None:
        return None, NO_CLASSIFIER
    try:
        loaded = load_classifier(name, generated, "--evaluation_classifier", device)
    except ValueError:
        if name_or_path is not None:
            raise
        return None, NO_CLASSIFIER
    if loaded.weights in weights:
        return None, NO_CLASSIFIER
    ordered = loaded.in_order(classes)
    if ordered is not None and not (exactly and ordered.num_classes > len(classes)):
        return ordered, ""
    if name_or_path is None:
        return None, f"{loaded.name} has the classes {listed(loaded.classes)} and not {listed(classes)}; {_SECOND}"
    raise ValueError(
        f"expected --evaluation_classifier with the classes {listed(classes)}, since labels are compared by name, got "
        f"{loaded.name} with {listed(loaded.classes)}; {_SECOND}, or leave --evaluation_classifier out"
    )


def all_alike(x: Float[Tensor, "n *s"]) -> bool:
    """Whether images, two or more, are all but the same."""
    whole = x.double().var()
    return len(x) > 1 and bool((x.double().var(0).mean() <= _ALIKE * whole) | (whole <= torch.finfo(x.dtype).eps))


def image_variance(x: Float[Tensor, "n *s"]) -> float:
    """Variance of images about their mean image; of the pixels of one image, or of equal ones, about their mean."""
    x = x.double()
    return float(x.var(0).mean() if len(x) > 1 and not all_alike(x) else x.var())


def relative_error(x: Float[Tensor, "n *s"], x_hat: Float[Tensor, "n *s"]) -> float:
    """Squared error of reconstructions over the variance of the images: 0 for the images, 1 for their mean."""
    return (x_hat.double() - x.double()).square().mean().item() / max(image_variance(x), torch.finfo(torch.float32).eps)


def reconstruction_doubts(x: Float[Tensor, "n *s"], error: Float[Tensor, "n"]) -> tuple[str, ...]:
    """Why the codes of images say nothing of these; nothing where they do.

    Args:
        x: The images.
        error: Mean squared error of each reconstruction.
    """
    lost = error.double().mean().item() / max(image_variance(x), torch.finfo(torch.float32).eps)
    if lost <= _LOST:
        return ()
    return (
        f"the codes do not make the images again (squared error {lost:.0%} of their variance); find better codes, or give "
        "images like those that the generator was trained on",
    )


def beside_doubts(verdict: str, doubts: Sequence[str]) -> str:
    """The verdict on codes; where there are doubts, after these and as one on the codes alone."""
    return f"{_not_evaluated(doubts)}. (Of the codes alone: {verdict})" if doubts else verdict


def evaluation(
    classifier: SavedClassifier | None,
    x_edited: Float[Tensor, "n *s"],
    x: Float[Tensor, "n *s"] | None = None,
    x_hat: Float[Tensor, "n *s"] | None = None,
    *,
    no_classifier: str = NO_CLASSIFIER,
) -> Evaluation:
    """Whether the labels of images can be evaluated, and by which classifier.

    Args:
        classifier: The evaluation classifier; None where there is none.
        x_edited: The images that are classified.
        x: Images of which codes were found, where there are some.
        x_hat: What the generator makes of these codes before the edit.
        no_classifier: Why there is no classifier, with the way out.
    """
    doubts = [] if x is None or x_hat is None else [*reconstruction_doubts(x, (x_hat - x).square().flatten(1).mean(1))]
    if all_alike(x_edited):
        doubts.append(
            "the images that were made are all but the same; the generator has collapsed or was trained too little"
        )
    if classifier is None:
        doubts.append(no_classifier)
    elif classifier.num_classes < 2 or (
        classifier.accuracy is not None and classifier.accuracy.low <= 1 / classifier.num_classes
    ):
        doubts.append(f"{classifier} does no better than chance; pass a better one with --evaluation_classifier")
    return Evaluation(classifier, tuple(doubts))


def collapse_notes(model: GenerativeModel) -> list[str]:
    """A sentence where all samples of a generator are all but the same."""
    x = model.decode(model.prior.sample(_SAMPLES, rng=torch.Generator().manual_seed(0)))
    return [
        "samples of all codes are all but the same image; the generator has collapsed or was trained too little"
    ] * all_alike(x)
