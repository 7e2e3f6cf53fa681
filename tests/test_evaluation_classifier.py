"""No success is reported of images that are all the same, nor by the classifier of the model itself."""

from pathlib import Path

import numpy as np
import pytest
import torch

from latentry.cli import main
from latentry.data.sources import load_dataset
from latentry.evaluation.proportions import share
from latentry.models.label_split import LabelSplit
from latentry.models.pretrained import save_network
from latentry.models.saving import load_model, save_model
from latentry.models.semantic import SemanticModel
from latentry.networks import DCGANGenerator, PlainClassifier, Zheng2019Decoder, Zheng2019Encoder
from latentry.priors import Normal, NormalMixture, SemanticPlacement
from latentry.storage import read_json
from latentry.tasks.evaluation_classifier import (
    NO_CLASSIFIER,
    GeneratedData,
    SavedClassifier,
    all_alike,
    evaluation,
    evaluation_classifier,
    generated_data,
    load_classifier,
    relative_error,
)

CPU = torch.device("cpu")
DIGITS = GeneratedData((1, 28, 28), "digits")
TEN = tuple("0123456789")


@pytest.fixture(scope="module")
def x() -> torch.Tensor:
    return load_dataset("digits").split("held-out").images(range(24))


def classifier(correct: int, trials: int = 100, classes: int = 10) -> SavedClassifier:
    return SavedClassifier(
        "mine",
        PlainClassifier(classes, width=1),
        "w",
        tuple(map(str, range(classes))),
        share(torch.arange(trials) < correct),
    )


def test_images_that_differ_by_noise_alone_are_alike(x: torch.Tensor) -> None:
    assert not all_alike(x)
    assert all_alike(x[:1] + 0.01 * torch.randn(24, 1, 28, 28))
    assert all_alike(torch.zeros(5, 1, 28, 28))
    assert not all_alike(x[:1])  # of one image nothing can be said


def test_the_images_lose_nothing_of_themselves_and_their_mean_all(x: torch.Tensor) -> None:
    assert relative_error(x, x) == 0
    assert relative_error(x, x.mean(0, keepdim=True).expand_as(x)) == pytest.approx(23 / 24)
    assert relative_error(x[:1], x[:1].mean().expand_as(x[:1])) == pytest.approx(783 / 784)


def test_a_success_needs_images_and_a_classifier_that_is_better_than_chance(x: torch.Tensor) -> None:
    blobs = x[:1].expand_as(x)
    assert evaluation(classifier(98), x, x, 0.9 * x).doubts == ()
    assert (
        evaluation(classifier(98), x).headline("8 of 8 are classified as 3")
        == "8 of 8 are classified as 3, by mine (98.0% right on held-out data)"
    )
    for checked, doubt in (
        (evaluation(None, x), "pass --evaluation_classifier with a second classifier"),
        (evaluation(classifier(98), blobs), "all but the same"),
        (evaluation(classifier(98), x, x, blobs), "do not make the images again"),
        (evaluation(classifier(12), x), "no better than chance"),
        (evaluation(classifier(100, classes=1), x), "no better than chance"),
    ):
        assert doubt in " ".join(checked.doubts)
        assert checked.headline("8 of 8").startswith("Not evaluated: ")
        assert "8 of 8" not in checked.headline("8 of 8")


def test_the_shipped_classifier_evaluates_all_but_itself() -> None:
    found, _ = evaluation_classifier(None, DIGITS, CPU, TEN, load_model("digits-guide").fingerprint)
    assert found is not None
    assert found.name == "digits-evaluator"
    assert found.accuracy is not None
    assert found.accuracy.value > 0.95
    for name, generated, weights in (
        ("digits-evaluator", DIGITS, found.weights),
        (None, GeneratedData((1, 28, 28), None), ""),
        (None, GeneratedData((3, 64, 64), "digits"), ""),
    ):
        assert evaluation_classifier(name, generated, CPU, TEN, weights) == (None, NO_CLASSIFIER)


@pytest.mark.parametrize(
    ("name", "generated", "message"),
    [
        ("digits-guide", GeneratedData((3, 64, 64), None), "images of 3 x 64 x 64, .*, got digits-guide, trained on 1 x 2"),
        ("digits-guide", GeneratedData((1, 28, 28), "fashion-mnist"), "fashion-mnist, got digits-guide, which classifies"),
        ("digits-generator", DIGITS, "is a generator with its prior"),
    ],
)  # fmt: skip
def test_a_classifier_of_something_else_is_refused(name: str, generated: GeneratedData, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_classifier(name, generated, "--classifier", CPU)


def test_what_a_generator_makes_stands_in_its_card() -> None:
    assert generated_data("digits-generator", (1, 28, 28)) == DIGITS
    assert generated_data("painted-generator", (3, 64, 64)).data == "painted-digits"


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models that have learned nothing, of every kind."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("untrained")
    save_network(folder / "generator", DCGANGenerator(8, width=2), Normal(8), {"data": {"name": "digits/train"}})
    mixture = NormalMixture(torch.randn(10, 9), torch.ones(10, 9)).beside_normal(4)
    encoders = Zheng2019Encoder(9, width=1).eval(), Zheng2019Encoder(8, width=1).eval()
    split = LabelSplit(Zheng2019Decoder(13, width=1).eval(), mixture, *encoders, 9)
    save_model(folder / "split", split, {"data": {"name": "digits/train"}})
    placement = SemanticPlacement(("thick",), 8).observed(torch.tensor([[1.0], [-1.0], [0.0]]))
    encoder = Zheng2019Encoder(16, width=1).eval()
    save_model(folder / "semantic", SemanticModel(Zheng2019Decoder(8, width=1).eval(), placement, encoder))
    return folder


VERBS = {
    "edit a split": ["edit", "swap", "--generator={untrained}/split", "--data=digits", "--count=8", "--label=2"],
    "swap": ["edit", "swap", "--generator={untrained}/split", "--data=digits", "--count=8", "--style=true"],
    "features": ["edit", "features", "--generator={untrained}/semantic", "--data=digits", "--count=4", "--reverse=thick",
                 "--encode"],
    "edit": ["edit", "label", "--generator={untrained}/generator", "--data=digits", "--count=2", "--label=2",
             "--per_label=20"],
    "decompose": ["decompose", "--generator={untrained}/generator", "--per_label=20", "--report_codes=100"],
    "recover": ["recover", "--generator={untrained}/generator", "--self_check=0", "--solver=adam", "--steps=2",
                "--data={few}"],
}  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
def test_an_untrained_model_succeeds_at_nothing(
    verb: str, untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = tmp_path / "few.npz"
    data = load_dataset("digits").split("held-out")
    np.savez(few, x=data.read(data.items[:60])[:, 0].numpy(), y=data.labels[:60].numpy())
    arguments = [word.format(untrained=untrained, few=few) for word in VERBS[verb]]
    code = main([*arguments, "--device=cpu", "--out", str(tmp_path / "out")])
    out, err = capsys.readouterr()
    told = " ".join((out + err).split())
    if code == 2:  # refused with its reason: the generator bears no labels at all
        assert "expected" in told
        return
    assert code == 0
    assert "Not evaluated: " in told
    assert "Not evaluated: " in (tmp_path / "out" / "index.html").read_text()
    result = read_json(tmp_path / "out" / "results.json")["result"]
    assert not result.get("success") or verb == "recover"
    assert not result.get("passes")


def test_a_trained_split_is_evaluated_by_another_than_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["edit", "swap", "--generator=digits-split", "--data=digits", "--count=20", "--label=3"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "edited images have the target label, by digits-evaluator (" in told
    assert read_json(tmp_path / "out" / "results.json")["result"]["success"]["value"] > 0.8
