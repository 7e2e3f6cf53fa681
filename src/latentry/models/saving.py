"""Trained models on disk: one folder a model, read by `load_model` and written by `save_model`.

The folder of a generator, with its prior, is the folder of the model; encoders lie in folders below it. So any model serves
where a generator is expected.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, overload

from torch import nn

from latentry.interfaces import Prior
from latentry.models.classifier import Classifier
from latentry.models.conditional import ConditionalModel
from latentry.models.generative import GenerativeModel
from latentry.models.label_split import LabelSplit
from latentry.models.pretrained import SavedNetwork, load_network, model_folder, save_network
from latentry.models.semantic import SemanticModel
from latentry.names import printable
from latentry.priors import NormalMixture, SemanticPlacement

__all__ = ["load_model", "model_kind", "save_model"]

Model = TypeVar("Model", bound=GenerativeModel | Classifier)

_LABEL_ENCODER, _STYLE_ENCODER, _ENCODER = "label-encoder", "style-encoder", "encoder"
"""Folders of the encoders."""
_IN_WORDS: Mapping[type, tuple[str, str]] = {
    GenerativeModel: ("generator with its prior", "latentry train gan"),
    ConditionalModel: ("conditional model", "fit_conditional"),
    LabelSplit: ("label split", "latentry train label-split"),
    SemanticModel: ("semantic model", "latentry train semantic"),
    Classifier: ("classifier", "latentry train classifier"),
}
"""What each class is called, and what makes one."""


def save_model(
    folder: str | Path, model: GenerativeModel | Classifier, card: Mapping[str, Any] | None = None, *, half: bool = False
) -> None:
    """Write a trained model, so that `load_model(folder)` gives it back.

    Args:
        folder: Where to.
        model: A model whose networks and prior are public classes of `latentry.networks` and `latentry.priors`, or whose
            generator is from `load_generator`: that is kept by reference, with the hash of its files.
        card: Settings, data fingerprint, seed, metrics; versions are added. The model's own card by default.
        half: Keep weights in half precision: half the file, three digits. They are loaded in single precision.

    Raises:
        ValueError: A network or the prior is of another class, so that no name could find it again.

    Example:
        >>> import tempfile, latentry as lt
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     lt.save_model(folder, lt.load_model("digits-generator"))
        ...     lt.load_model(folder).prior
        Normal(latent_dim=64, loc=0.0, scale=1.0)
    """
    if not isinstance(model, GenerativeModel | Classifier):
        raise ValueError(
            f"expected a model, got {type(model).__name__}; a network of this library becomes one by "
            "lt.GenerativeModel(network, prior), a generator of your own by lt.load_generator('file.py:name')"
        )
    card = dict(model.card if card is None else card)
    if isinstance(model, LabelSplit):
        card |= {"label_dim": model.label_dim, "least_deviation": model.least_deviation}
    prior_is = "given" if isinstance(model, Classifier) else model.prior_is
    prior: Any = None if isinstance(model, Classifier) or prior_is == "own" else model.prior
    for place, network in _parts(model).items():
        save_network(Path(folder) / place, network, prior if place == "." else None, card, half=half, prior_is=prior_is)


@overload
def load_model(name_or_path: str | Path, *, run_code: bool = ...) -> Any: ...


@overload
def load_model(name_or_path: str | Path, kind: type[Model], *, run_code: bool = ...) -> Model: ...


def load_model(name_or_path: str | Path, kind: type | None = None, *, run_code: bool = False) -> Any:
    """A shipped model by its name, or a saved one by its folder, on the CPU and in eval mode.

    Args:
        name_or_path: A name of `shipped_models`, or a folder that `save_model` or `latentry train` wrote.
        kind: Which class it has to be of: `GenerativeModel` for any with a generator, `LabelSplit`, `SemanticModel` or
            `Classifier`. By default the folder decides.
        run_code: Whether Python that the folder names may be run, as one does whose generator is `file.py:name`. Shipped
            models and those of `latentry train` name none.

    Raises:
        ValueError: There is no such model, a file is missing or does not fit the others, or the model is of another class.

    Example:
        >>> import latentry as lt
        >>> type(lt.load_model("digits-split")).__name__
        'LabelSplit'
        >>> lt.load_model("digits-split", lt.Classifier)
        Traceback (most recent call last):
        ...
        ValueError: expected a classifier, but digits-split is a label split; `latentry train classifier` makes one
    """
    model = _load(name_or_path, run_code)
    if kind is not None and not isinstance(model, kind):
        (expected, maker), (found, _) = _IN_WORDS[kind], _IN_WORDS[type(model)]
        raise ValueError(f"expected a {expected}, but {printable(name_or_path)} is a {found}; `{maker}` makes one")
    return model


def model_kind(name_or_path: str | Path) -> type[GenerativeModel]:
    """Which class of generative model lies in a folder, from the folders of its encoders: nothing is read."""
    folder = model_folder(name_or_path)
    if all((folder / part).is_dir() for part in (_LABEL_ENCODER, _STYLE_ENCODER)):
        return LabelSplit
    return SemanticModel if (folder / _ENCODER).is_dir() else GenerativeModel


def _load(name_or_path: str | Path, run_code: bool) -> GenerativeModel | Classifier:
    saved = load_network(name_or_path, run_code=run_code)
    if saved.prior is None:
        return Classifier(saved.network, card=saved.card)
    kind = model_kind(name_or_path)
    if kind is LabelSplit:
        return _label_split(saved, saved.prior, name_or_path)
    placed = isinstance(saved.prior, SemanticPlacement)
    if kind is SemanticModel and isinstance(saved.prior, NormalMixture) and not placed:
        return ConditionalModel(saved.network, saved.prior, _part(name_or_path, _ENCODER), card=saved.card)
    if kind is SemanticModel:
        if not isinstance(saved.prior, SemanticPlacement):
            raise ValueError(
                f"expected a placement of features as the prior of the semantic model in {printable(name_or_path)}, got "
                f"{saved.prior!r}; train it again"
            )
        return SemanticModel(saved.network, saved.prior, _part(name_or_path, _ENCODER), card=saved.card)
    return GenerativeModel(saved.network, saved.prior, card=saved.card, prior_is=saved.prior_is)


def _label_split(saved: SavedNetwork, prior: Prior, name_or_path: str | Path) -> LabelSplit:
    if not isinstance(prior, NormalMixture) or "label_dim" not in saved.card:
        raise ValueError(
            f"expected a normal mixture and a label_dim of the label split in {printable(name_or_path)}, got {prior!r}; "
            "train it again"
        )
    encoders = _part(name_or_path, _LABEL_ENCODER), _part(name_or_path, _STYLE_ENCODER)
    least = saved.card.get("least_deviation", 0.0)
    return LabelSplit(saved.network, prior, *encoders, saved.card["label_dim"], least, card=saved.card)


def _part(name_or_path: str | Path, part: str) -> nn.Module:
    return load_network(model_folder(name_or_path) / part).network


def _parts(model: GenerativeModel | Classifier) -> dict[str, nn.Module]:
    """Each network of a model by the folder that it goes to."""
    if isinstance(model, Classifier):
        return {".": model.network}
    if isinstance(model, LabelSplit):
        return {".": model.generator, _LABEL_ENCODER: model.label_encoder, _STYLE_ENCODER: model.style_encoder}
    if isinstance(model, SemanticModel | ConditionalModel) and model.encoder is not None:
        return {".": model.generator, _ENCODER: model.encoder}
    return {".": model.generator}
