"""Labels are told by the names of classes: models and data with other numbers for them agree, with other names do not."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from latentry.cli import main
from latentry.data.labels import classes
from latentry.latent.basis_files import load_basis
from latentry.latent.inverse import fit_inverse
from latentry.latent.inverse_files import save_inverse
from latentry.latent.operators import rotate
from latentry.latent.settings import InverseSettings
from latentry.models.classifier import Classifier
from latentry.models.generative import GenerativeModel
from latentry.models.pretrained import save_network
from latentry.models.saving import load_model
from latentry.priors import Normal
from latentry.storage import read_json, read_tensors
from latentry.tasks.class_names import Reordered, column_order

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")  # of torch itself

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
FEW = ["--per_label=60", "--device=cpu"]


def saved(folder: Path, like: str, names: Sequence[str], rows: Sequence[int]) -> Path:
    """A shipped classifier of digits whose classes are these rows of it, under other names."""
    model = load_model(like, Classifier)
    network: Any = model.network
    network.head.weight = torch.nn.Parameter(network.head.weight[list(rows)])
    network.head.bias = torch.nn.Parameter(network.head.bias[list(rows)])
    network.arguments["num_classes"] = len(rows)
    data = {"name": "own/train", "shape": [1, 28, 28], "class_names": list(names)}
    save_network(folder, network, None, {"data": data, "metrics": {"held-out": model.card["metrics"]["held-out"]}})
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A guide and an evaluator of digits in words, in two orders; a guide of three digits; an inverse of the generator."""
    folder = tmp_path_factory.mktemp("names")
    by_name = sorted(range(10), key=lambda digit: WORDS[digit])
    saved(folder / "guide", "digits-guide", [WORDS[digit] for digit in by_name], by_name)
    saved(folder / "evaluator", "digits-evaluator", WORDS, range(10))
    saved(folder / "three", "digits-guide", ("3", "5", "8"), (3, 5, 8))
    shipped = load_model("digits-generator", GenerativeModel)
    assert isinstance(shipped.prior, Normal)
    save_inverse(
        folder / "inverse",
        fit_inverse(
            shipped.generator, shipped.prior, InverseSettings(steps=20, batch_size=16, width=4, checkpoint_every=20)
        ),
    )
    return folder


def run(verb: str, place: Path, out: Path, *more: str) -> int:
    coded = ["--data=digits", "--count=16", "--encode", f"--inverse={place}/inverse"] if verb.startswith("edit") else []
    least = ["--report_codes=200"] if verb == "decompose" else []
    return main([*verb.split(), *coded, *least, *FEW, f"--out={out}", *(word.format(place=place) for word in more)])


def result(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = read_json(out / "results.json")["result"]
    return found


def test_names_that_are_numbers_are_sorted_as_numbers() -> None:
    assert classes(["10", "2", "1"])[1] == ("1", "2", "10")
    assert classes(["-1", "2.5", "10", "007", "7"])[1] == ("-1", "2.5", "007", "7", "10")
    assert classes(["10", "2", "1", "none"])[1] == ("1", "10", "2", "none")
    assert classes(["inf", "nan", "1"])[1] == ("1", "inf", "nan")


@given(names=st.permutations("abcdef"), wanted=st.lists(st.sampled_from("abcdefg"), unique=True))
def test_logits_in_another_order_are_those_of_the_same_names(names: list[str], wanted: list[str]) -> None:
    order = column_order(names, wanted)
    assert (order is None) == ("g" in wanted)
    if order is not None:
        logits = torch.tensor([[float(ord(name)) for name in names]])
        found = Reordered(torch.nn.Flatten(1), order)(logits[:, :, None, None]).tolist()[0]
        assert found[: len(wanted)] == [ord(name) for name in wanted]
        assert sorted(found) == sorted(logits.tolist()[0])


def test_two_classifiers_that_number_the_same_classes_otherwise_agree(place: Path, tmp_path: Path) -> None:
    own = ("--classifier={place}/guide", "--evaluation_classifier={place}/evaluator")
    assert run("edit label", place, tmp_path / "edit", *own, "--label=three", "--margin=6") == 0
    edited = result(tmp_path / "edit")
    assert edited["target_label"]["value"] > 0.7
    assert {row["label_after"] for row in edited["images"]} <= {*WORDS}
    assert sum(row["label_after"] == "three" for row in edited["images"]) == round(16 * edited["target_label"]["value"])
    assert run("decompose", place, tmp_path / "basis", *own) == 0
    found = result(tmp_path / "basis")
    assert found["class_names"] == sorted(WORDS)
    assert found["mapped"]["value"] >= 0.9
    assert found["label_accuracy"]["value"] > 0.3
    assert not found["evaluation"]["doubts"]

    # a basis keeps the names of its labels: a turn is told by them, and another classifier cannot read it
    told = (f"--basis={tmp_path}/basis/basis", "--classifier={place}/guide")
    assert run("edit rotate", place, tmp_path / "turned", *told, "--turns=three:eight:60") == 0
    basis, codes = load_basis(tmp_path / "basis" / "basis"), read_tensors(tmp_path / "turned" / "codes.safetensors")
    plane = basis.plane(sorted(WORDS).index("three"), sorted(WORDS).index("eight"))
    assert_close(codes["z_edited"], rotate(codes["z"], plane, math.pi / 3))


def test_classes_of_other_names_are_not_judged(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("edit label", place, tmp_path / "words", "--classifier={place}/guide", "--label=three", "--margin=6") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "Not evaluated: " in told
    assert "digits-evaluator has the classes 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and not eight, five, four" in told
    assert "pass --evaluation_classifier with a second classifier of the same class names" in told
    assert result(tmp_path / "words")["success"] is None
    assert run("decompose", place, tmp_path / "few", "--classifier={place}/three") == 0
    assert "Not evaluated: digits-evaluator has the classes 0, 1, 2" in " ".join(capsys.readouterr().out.split())


def test_a_reader_of_more_classes_reads_those_of_the_same_names(place: Path, tmp_path: Path) -> None:
    assert run("edit label", place, tmp_path, "--classifier={place}/three", "--label=8", "--margin=6") == 0
    found = result(tmp_path)
    assert "digits-evaluator" in found["evaluation"]["classifier"]
    assert found["target_label"]["value"] > 0.5
    assert found["target_label"]["value"] == sum(row["label_after"] == "8" for row in found["images"]) / 16


@pytest.mark.parametrize(
    ("verb", "more", "said"),
    [
        ("edit label", ("--classifier={place}/guide", "--label=3"), "got '3'; it has eight, five, four, nine"),
        (
            "edit label",
            ("--classifier={place}/guide", "--label=three", "--evaluation_classifier=digits-evaluator"),
            "expected --evaluation_classifier with the",
        ),
        (
            "edit rotate",
            ("--classifier={place}/guide", "--turns=3:8:60"),
            "of the basis, got '3'; it has eight, five",
        ),
        (
            "edit swap",
            ("--generator=digits-split", "--label=3", "--evaluation_classifier={place}/evaluator"),
            "expected --evaluation_classifier with the classes",
        ),
        (
            "edit swap",
            ("--generator=digits-split", "--label=three"),
            "of the label split, got 'three'; it has 0, 1, 2",
        ),
        (
            "decompose",
            ("--classifier={place}/guide", "--evaluation_classifier=digits-evaluator"),
            "expected --evaluation_classifier with the classes eight",
        ),
        (
            "decompose",
            ("--classifier={place}/three", "--evaluation_classifier=digits-evaluator"),
            "expected --evaluation_classifier with the classes 3, 5, 8",
        ),
        ("sample", ("--generator=digits-split", "--label=three"), "a class of the prior, got 'three'; it has 0, 1, 2"),
    ],
)
def test_labels_of_other_names_are_refused_with_those_that_there_are(
    verb: str, more: tuple[str, ...], said: str, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if "split" in more[0]:
        data = ["--data=digits"] if verb.startswith("edit") else []
        told = [*verb.split(), *data, "--device=cpu", f"--out={tmp_path}", *(word.format(place=place) for word in more)]
        assert main(told) == 2
    else:
        assert run(verb, place, tmp_path, *more) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.iterdir())
