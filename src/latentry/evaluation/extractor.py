"""Feature extractors for samples: features, class probabilities where there are any, and a fingerprint.

A distance between features depends on the extractor as much as on the samples. Inception features are made for photographs.
For digits, grey or medical images a classifier trained on the user's own labelled data is more suitable, and needs no
download. But two distances are comparable only if the same network made the features. So every extractor has a fingerprint:
its name, a hash of its weights, and a hash of its training data. Results are compared only if fingerprints agree.

A plain function has no weights to hash: give it a name of your own, and a new one whenever it changes.

Features make sense only for data in the range of the training data. Each extractor states this range, and samples that are
evidently in another one are refused; the error names the conversion.
"""

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import torch
from jaxtyping import Shaped, UInt8
from torch import Tensor, nn

from latentry.holding import Watched, evaluated, module_of
from latentry.interfaces import FeatureExtractor
from latentry.network_outputs import features_of, logits_of
from latentry.numerics.data_range import Range, check_apparent_range
from latentry.paths import user_path
from latentry.storage import fingerprint

__all__ = [
    "CallableExtractor",
    "ClassifierExtractor",
    "Extraction",
    "Extractor",
    "Fingerprint",
    "InceptionExtractor",
    "RememberingExtractor",
    "as_extractor",
]


@dataclass(frozen=True)
class Fingerprint:
    """What makes an extractor the one it is.

    Example:
        >>> CallableExtractor(lambda x: x, name="pixels").fingerprint.name
        'pixels'
    """

    name: str
    """Its name."""
    weights: str | None
    """Hash of its weights; None for a function that has none."""
    data: str | None
    """Hash of the data it was trained on, where that is known."""
    known: bool = True
    """Whether the name or the weights tell it from any other."""

    def __str__(self) -> str:
        return f"{self.name} (weights {self.weights or 'none'}, data {self.data or 'not given'})"


@dataclass(frozen=True)
class Extraction:
    """What an extractor sees in a batch.

    Example:
        >>> CallableExtractor(lambda x: x.flatten(1)).extract(torch.zeros(2, 3)).probabilities is None
        True
    """

    features: Tensor
    """Features, `(n, k)`; checked by whoever uses them, since a user's callable made them."""
    probabilities: Tensor | None
    """Class probabilities, `(n, c)`, where the extractor has classes."""


@runtime_checkable
class Extractor(Protocol):
    """A feature extractor that says what it is."""

    @property
    def fingerprint(self) -> Fingerprint:
        """What makes it the one it is, worked out when requested."""

    def extract(self, x: Any) -> Extraction:
        """Features and probabilities of data `(n, *data_shape)`, without gradient."""


class CallableExtractor:
    """Any callable as an extractor.

    Args:
        features: Data to features `(n, k)`: a module, a bound method, a function. Modules behind it are held in eval mode.
        probabilities: Data to class probabilities `(n, c)`, if there are classes.
        name: What to call it. A function without a name of yours is never comparable with another.
        data_fingerprint: Hash of the data it was trained on (`latentry.storage.fingerprint`).
        expects: Range of images that it takes; None leaves it open.

    What it returns may be a tensor or what `latentry.network_outputs` says.

    Example:
        >>> pixels = CallableExtractor(lambda x: x.flatten(1), name="pixels")
        >>> pixels.extract(torch.zeros(2, 1, 3, 3)).features.shape
        torch.Size([2, 9])
    """

    def __init__(
        self,
        features: FeatureExtractor,
        probabilities: Callable[[Any], Any] | None = None,
        *,
        name: str | None = None,
        data_fingerprint: str | None = None,
        expects: Range | None = None,
    ) -> None:
        self.features = features
        self.probabilities = probabilities
        self._watched = [Watched(part) for part in self._parts]
        self.name = name
        self.data_fingerprint = data_fingerprint
        self.expects = expects

    @property
    def fingerprint(self) -> Fingerprint:
        modules = [module_of(part) for part in self._parts]
        tensors = {
            f"{index}.{key}": value
            for index, module in enumerate(modules)
            if module is not None
            for key, value in module.state_dict().items()
        }
        return Fingerprint(
            name=self.name or " + ".join(_name(part) for part in self._parts),
            weights=fingerprint(tensors) if tensors else None,
            data=self.data_fingerprint,
            known=self.name is not None or None not in modules,
        )

    @property
    def _parts(self) -> list[FeatureExtractor]:
        return [part for part in (self.features, self.probabilities) if part is not None]

    def extract(self, x: Any) -> Extraction:
        if self.expects is not None:
            check_apparent_range(x, self.expects, self.fingerprint.name)
        with evaluated(*self._parts), torch.no_grad():
            features, *probabilities = [part(x) for part in self._watched]
            return Extraction(features_of(features), _probabilities(probabilities[0]) if probabilities else None)


class ClassifierExtractor:
    """A classifier of `latentry.networks`, shipped or trained on the user's own data: its last hidden layer and its classes.

    Args:
        network: A module with `features(x)`, `(n, k)`, and `head(features)`, logits `(n, num_classes)`.
        data_fingerprint: Hash of the data it was trained on (`latentry.storage.fingerprint`).
        expects: Range of the images that it was trained on, [-1, 1] as everywhere in this package; None leaves it open.

    Raises:
        ValueError: The network has no `features` or no `head`.

    Example:
        >>> from latentry.networks import PlainClassifier
        >>> extractor = ClassifierExtractor(PlainClassifier(10))
        >>> extractor.extract(torch.zeros(2, 1, 28, 28)).probabilities.shape
        torch.Size([2, 10])
    """

    def __init__(
        self, network: nn.Module, *, data_fingerprint: str | None = None, expects: Range | None = "[-1, 1]"
    ) -> None:
        if not (callable(getattr(network, "features", None)) and callable(getattr(network, "head", None))):
            raise ValueError(
                f"expected a network with `features` and `head`, got {type(network).__name__}; "
                "pass CallableExtractor(features, probabilities) instead"
            )
        self.network: Any = network
        self.data_fingerprint = data_fingerprint
        self.expects = expects

    @property
    def fingerprint(self) -> Fingerprint:
        return Fingerprint(type(self.network).__name__, fingerprint(self.network.state_dict()), self.data_fingerprint)

    def extract(self, x: Shaped[Tensor, "n c h w"]) -> Extraction:
        if self.expects is not None:
            check_apparent_range(x, self.expects, self.fingerprint.name)
        with evaluated(self.network), torch.no_grad():
            features = self.network.features(x)
            return Extraction(features, self.network.head(features).softmax(1))


class InceptionExtractor:
    """Inception-v3 with the weights of the original FID, as torch-fidelity keeps them: 2048 features, 1008 classes.

    Images in [-1, 1], or of 8 bits (uint8), grey or colour, of any size; they become 8-bit colour, and torch-fidelity
    resizes them to 299 pixels as TensorFlow did.

    Args:
        weights: The file `weights-inception-2015-12-05-6726825d.pth`; nothing is downloaded.
        device: Where the network stands.

    Raises:
        ValueError: There is no such file, it holds more than tensors, or torch-fidelity cannot be imported.
    """

    def __init__(self, weights: str | Path, *, device: str | torch.device = "cpu") -> None:
        weights = user_path(weights)
        if not weights.is_file():
            raise ValueError(
                f"expected Inception weights at {weights}, found none; download weights-inception-2015-12-05-6726825d.pth "
                "from torch-fidelity's releases, or train a classifier on your own data and use ClassifierExtractor"
            )
        try:
            torch.load(weights, weights_only=True)  # refuses code, which torch-fidelity would run
        except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"expected a file of named tensors, got {weights} ({reason}); download it again") from None
        try:
            from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
        except (ImportError, RuntimeError) as error:  # RuntimeError: torchvision beside another build of torch
            raise ValueError(
                f"expected torch-fidelity, which does not import here ({error}); pip install 'latentry[inception]', "
                "or train a classifier on your own data and use ClassifierExtractor"
            ) from None
        self.network: nn.Module = FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(weights)
        )
        self.network.to(device)
        self.device = torch.device(device)

    @property
    def fingerprint(self) -> Fingerprint:
        return Fingerprint("inception-v3-compat", fingerprint(self.network.state_dict()), None)

    def extract(self, x: Shaped[Tensor, "n c h w"]) -> Extraction:
        with evaluated(self.network), torch.no_grad():
            features, logits = self.network(eight_bit_colour(x).to(self.device))
        return Extraction(features, logits.softmax(1))


class RememberingExtractor:
    """An extractor that looks at one sample once, however many others are compared with it.

    Args:
        extractor: What looks at samples.
        x: The sample to remember; this tensor itself and slices of its rows are known again, copies of it are not.
        batch_size: Rows that go through the extractor at once.

    Example:
        >>> x = torch.zeros(4, 3)
        >>> seen = RememberingExtractor(lambda x: x.flatten(1), x)
        >>> seen.extract(x[:2]).features.shape
        torch.Size([2, 3])
    """

    def __init__(self, extractor: Extractor | FeatureExtractor, x: Tensor, batch_size: int = 500) -> None:
        self.extractor = as_extractor(extractor)
        self.x = x
        with evaluated(self.extractor):
            extractions = [self.extractor.extract(part) for part in x.split(batch_size)]
        self._features = torch.cat([part.features for part in extractions])
        shares = [part.probabilities for part in extractions if part.probabilities is not None]
        self._probabilities = torch.cat(shares) if shares else None

    @property
    def fingerprint(self) -> Fingerprint:
        return self.extractor.fingerprint

    def extract(self, x: Any) -> Extraction:
        rows = self._rows(x)
        if rows is None:
            return self.extractor.extract(x)
        return Extraction(self._features[rows], None if self._probabilities is None else self._probabilities[rows])

    def _rows(self, x: Tensor) -> slice | None:
        """Which rows of the remembered sample these are, if they lie in its memory."""
        known = self.x
        if x.untyped_storage().data_ptr() != known.untyped_storage().data_ptr() or x.stride() != known.stride():
            return None
        start, rest = divmod(int(x.storage_offset() - known.storage_offset()), known.stride(0))
        inside = start >= 0 and start + len(x) <= len(known) and rest == 0 and x.shape[1:] == known.shape[1:]
        return slice(start, start + len(x)) if inside else None


def eight_bit_colour(x: Shaped[Tensor, "n c h w"]) -> UInt8[Tensor, "n 3 h w"]:
    """Images in [-1, 1], grey or colour, as 8-bit colour; images that have 8 bits (uint8) already keep their values.

    Raises:
        ValueError: Images have neither one nor three channels, are evidently in another range, or of whole numbers other
            than uint8.
    """
    if x.shape[1] not in (1, 3):
        raise ValueError(f"expected 1 (grey) or 3 (colour) channels, got {x.shape[1]}; take a classifier of your own")
    if x.dtype == torch.uint8:
        return x.expand(-1, 3, -1, -1)
    if not x.is_floating_point():
        raise ValueError(
            f"expected images in [-1, 1], or of uint8, got {x.dtype}; convert those of 8 bits with .to(torch.uint8)"
        )
    check_apparent_range(x, "[-1, 1]", "8-bit colour")
    return ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).expand(-1, 3, -1, -1)


def as_extractor(extractor: Extractor | FeatureExtractor) -> Extractor:
    """The extractor itself, or any callable made one.

    Example:
        >>> as_extractor(lambda x: x.flatten(1)).extract(torch.zeros(2, 1, 3, 3)).features.shape
        torch.Size([2, 9])
    """
    # isinstance would work the fingerprint out only to see that it is there
    return cast(Extractor, extractor) if hasattr(extractor, "extract") else CallableExtractor(extractor)


def _probabilities(output: Any) -> Tensor:
    """Probabilities as they are, or of the logits where the output names them so."""
    logits = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", None)
    return logits.softmax(1) if isinstance(logits, Tensor) else logits_of(output)


def _name(part: Any) -> str:
    owner = module_of(part)
    if owner is None:
        return str(getattr(part, "__qualname__", type(part).__name__))
    return type(owner).__name__ + ("" if owner is part else f".{part.__name__}")
