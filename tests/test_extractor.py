"""What adapters extract, and what their fingerprints tell apart."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from latentry.evaluation.extractor import (
    CallableExtractor,
    ClassifierExtractor,
    Extractor,
    InceptionExtractor,
    RememberingExtractor,
    as_extractor,
    eight_bit_colour,
)
from latentry.networks import PlainClassifier, ResidualClassifier
from latentry.storage import fingerprint


@pytest.mark.parametrize("kind", [PlainClassifier, ResidualClassifier])
@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 33)])
def test_a_classifier_gives_its_last_hidden_layer_and_its_classes(
    kind: type[PlainClassifier | ResidualClassifier], channels: int, size: int
) -> None:
    network, x = kind(7, channels=channels, width=4).train(), torch.randn(5, channels, size, size)
    seen = ClassifierExtractor(network).extract(x)
    assert network.training
    network.eval()
    with torch.no_grad():
        assert_close(seen.features, network.features(x))
        assert_close(seen.probabilities, network(x).softmax(1))
    assert not seen.features.requires_grad


def test_a_fingerprint_follows_weights_and_data_and_nothing_else() -> None:
    network = PlainClassifier(3, width=2)
    extractor = ClassifierExtractor(network, data_fingerprint="digits")
    before = extractor.fingerprint
    extractor.extract(torch.randn(4, 1, 28, 28))
    twin = PlainClassifier(3, width=2)
    twin.load_state_dict(network.state_dict())
    assert ClassifierExtractor(twin, data_fingerprint="digits").fingerprint == extractor.fingerprint == before
    assert ClassifierExtractor(twin, data_fingerprint="letters").fingerprint != before
    assert before.weights == fingerprint(network.state_dict())
    with torch.no_grad():
        network.head.bias[0] += 1e-6
    assert extractor.fingerprint != before


def test_a_network_without_features_and_head_is_no_classifier_here() -> None:
    with pytest.raises(ValueError, match="got Linear"):
        ClassifierExtractor(nn.Linear(2, 3))


def test_any_callable_is_an_extractor() -> None:
    x = torch.randn(4, 1, 2, 2)
    seen = as_extractor(lambda x: x.flatten(1)).extract(x)
    assert_close(seen.features, x.flatten(1))
    assert seen.probabilities is None
    extractor = CallableExtractor(torch.nn.Flatten(), lambda x: x.flatten(1).softmax(1))
    assert_close(extractor.extract(x).probabilities, x.flatten(1).softmax(1))
    assert isinstance(extractor, Extractor)
    assert as_extractor(extractor) is extractor


def test_a_module_is_known_by_its_weights_and_a_function_only_by_the_name_it_was_given() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    found = CallableExtractor(network).fingerprint
    assert (found.name, found.weights is None, found.known) == ("Sequential", False, True)
    assert CallableExtractor(network.forward).fingerprint.weights == found.weights
    assert not CallableExtractor(lambda x: x).fingerprint.known
    assert not CallableExtractor(network, lambda x: x).fingerprint.known
    assert CallableExtractor(lambda x: x, name="pixels v1").fingerprint.known


def test_a_module_is_held_in_eval_mode_while_it_extracts() -> None:
    network = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4), nn.Dropout(0.5))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    x = torch.randn(6, 1, 2, 2)
    assert_close(CallableExtractor(network).extract(x).features, CallableExtractor(network).extract(x).features)
    assert_close(dict(network.state_dict()), before)
    assert network.training


def test_a_remembered_sample_is_looked_at_once_and_seen_the_same() -> None:
    looks: list[int] = []

    def features(x: Tensor) -> Tensor:
        looks.append(len(x))
        return x.flatten(1)

    whole = torch.arange(60.0).view(10, 1, 2, 3)
    x = whole[2:9]
    remembering = RememberingExtractor(CallableExtractor(features, name="pixels"), x, batch_size=3)
    assert sum(looks) == 7
    assert_close(torch.cat([remembering.extract(part).features for part in x.split(2)]), x.flatten(1))
    assert sum(looks) == 7
    for other in (x.clone(), whole[1:3], whole[:, :, :, :2]):  # a copy, rows before, other columns of the same memory
        assert_close(remembering.extract(other).features, other.flatten(1))
    assert sum(looks) == 7 + 7 + 2 + 10
    assert remembering.fingerprint.name == "pixels"


def test_images_become_eight_bit_colour() -> None:
    grey = torch.tensor([-1.0, 0.0, 1.0, 2.0]).view(1, 1, 2, 2)
    assert eight_bit_colour(grey).tolist() == [[[[0, 128], [255, 255]]] * 3]
    colour = torch.rand(2, 3, 5, 4) * 2 - 1
    assert_close((eight_bit_colour(colour).float() / 127.5 - 1), colour, rtol=0, atol=1 / 255 + 1e-6)
    with pytest.raises(ValueError, match="got 2"):
        eight_bit_colour(torch.zeros(1, 2, 4, 4))


class FakeInception(nn.Module):
    """Stands in for torch-fidelity's network: same constructor, same kinds of input and output."""

    def __init__(self, name: str, features_list: list[str], feature_extractor_weights_path: str) -> None:
        super().__init__()
        assert (name, features_list) == ("inception-v3-compat", ["2048", "logits_unbiased"])
        self.register_buffer("w", torch.load(feature_extractor_weights_path)["w"])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        assert x.dtype == torch.uint8
        assert x.shape[1] == 3
        return x.float().mean((2, 3)), x.float().mean((2, 3)) * self.w


def fake_package(monkeypatch: pytest.MonkeyPatch) -> None:
    package, module = ModuleType("torch_fidelity"), ModuleType("torch_fidelity.feature_extractor_inceptionv3")
    module.FeatureExtractorInceptionV3 = FakeInception  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch_fidelity", package)
    monkeypatch.setitem(sys.modules, module.__name__, module)


def test_inception_takes_grey_images_and_is_known_by_its_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_package(monkeypatch)
    torch.save({"w": torch.ones(3)}, tmp_path / "a.pth")
    torch.save({"w": torch.zeros(3)}, tmp_path / "b.pth")
    first, second = InceptionExtractor(tmp_path / "a.pth"), InceptionExtractor(tmp_path / "b.pth")
    seen = first.extract(torch.ones(2, 1, 9, 9))
    assert_close(seen.features, torch.full((2, 3), 255.0))
    assert_close(seen.probabilities, torch.full((2, 3), 1 / 3))
    assert first.fingerprint.name == second.fingerprint.name
    assert first.fingerprint.weights != second.fingerprint.weights


def test_without_the_file_or_the_package_inception_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="train a classifier on your own data"):
        InceptionExtractor(tmp_path / "missing.pth")
    torch.save({"w": torch.ones(3)}, tmp_path / "a.pth")
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(ValueError, match="pip install"):
        InceptionExtractor(tmp_path / "a.pth")


def test_a_file_that_holds_code_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_package(monkeypatch)
    torch.save({"w": Path("code")}, tmp_path / "code.pth")
    (tmp_path / "short.pth").write_bytes(b"cut")
    for name in ("code.pth", "short.pth"):
        with pytest.raises(ValueError, match="named tensors"):
            InceptionExtractor(tmp_path / name)


@dataclass
class Answer:
    """As networks of transformers give it."""

    logits: Tensor | None = None
    pooler_output: Tensor | None = None
    hidden: Tensor | None = None


def test_what_networks_of_other_libraries_return_is_taken_by_its_name_or_refused() -> None:
    x = torch.randn(4, 1, 2, 2)
    rows = x.flatten(1)
    for answer in (
        Answer(pooler_output=rows),
        Answer(logits=-rows, pooler_output=rows),
        Answer(logits=rows),
        {"pooler_output": rows, "hidden": x},
        {"layer4": rows},
        [rows],
        (rows,),
        rows.numpy(),
    ):
        assert_close(CallableExtractor(lambda _, answer=answer: answer).extract(x).features, rows)
    for answer in (Answer(hidden=rows), {"a": rows, "b": rows}, [rows, rows], (rows, None), [], None, "features"):
        with pytest.raises(ValueError, match=r"expected the feature extractor to return a tensor.*lambda"):
            CallableExtractor(lambda _, answer=answer: answer).extract(x)
    seen = CallableExtractor(lambda x: x.flatten(1), lambda x: Answer(logits=rows))
    assert_close(seen.extract(x).probabilities, rows.softmax(1))


def test_eight_bits_stay_what_they_are() -> None:
    x = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert torch.equal(eight_bit_colour(x), x.expand(-1, 3, -1, -1))
    assert torch.equal(eight_bit_colour(x / 127.5 - 1), eight_bit_colour(x))
    with pytest.raises(ValueError, match=r"uint8, got torch\.int64"):
        eight_bit_colour(x.long())


@pytest.mark.parametrize(
    ("change", "conversion"),
    [(lambda x: x.float(), "x / 127.5 - 1"), (lambda x: x, "x / 127.5 - 1"), (lambda x: x / 255, r"2 \* x - 1")],
    ids=["0 to 255", "uint8", "0 to 1"],
)
def test_a_classifier_refuses_images_in_another_range_than_its_own(change: Any, conversion: str) -> None:
    x = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    network = PlainClassifier(2, width=2)
    with pytest.raises(ValueError, match=rf"in \[-1, 1\] for PlainClassifier, .*{conversion}"):
        ClassifierExtractor(network).extract(change(x))
    ClassifierExtractor(network).extract(x / 127.5 - 1)
    ClassifierExtractor(network, expects="[0, 1]").extract(x / 255)
    with pytest.raises(ValueError, match=r"in \[0, 1\] for pixels"):
        CallableExtractor(lambda x: x.flatten(1), name="pixels", expects="[0, 1]").extract(x / 127.5 - 1)
    CallableExtractor(lambda x: x.flatten(1).float()).extract(x)


@pytest.mark.parametrize("form", [lambda p: p, lambda p: p.numpy(), lambda p: (p,), lambda p: {"scores": p}])
def test_probabilities_are_taken_as_they_are_in_every_form(form: Callable[[torch.Tensor], Any]) -> None:
    probabilities = torch.tensor([[0.9, 0.1], [0.2, 0.8]])
    extractor = CallableExtractor(lambda x: x.flatten(1), lambda x: form(probabilities))
    found = extractor.extract(torch.zeros(2, 1, 3, 3)).probabilities
    assert found is not None
    assert torch.equal(found, probabilities)
