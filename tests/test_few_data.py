"""Too little to learn from, or something else than is made: refused before any work, and nothing is left behind."""

from pathlib import Path
from typing import Any

import pytest
import torch

from experiments.semantics.settings import SemanticsSettings
from latentry.cli import main
from latentry.reports.pictures import write_png
from latentry.storage import read_json
from latentry.tasks.runs import Run, command

FEW = "--batch_size=2"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Grey pictures: three of two classes, and 30 of one class."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("data")
    for place in ("three/a/1", "three/a/2", "three/b/1", *(f"single/a/{index}" for index in range(30))):
        write_png(folder / f"{place}.png", torch.rand(1, 28, 28) * 2 - 1)
    return folder


REFUSED = {
    "gan": (["train", "gan", "--data={data}/three"], "expected 64 training images or more, one batch, got"),
    "classifier": (["train", "classifier", "--data={data}/three", FEW], "expected images for validation and held-out, got"),
    "one class": (["train", "classifier", "--data={data}/single", FEW], "expected two classes or more in single, got a"),
    "split": (["train", "label-split", "--data={data}/three", FEW], "expected images for validation and held-out, got"),
    "semantic": (["train", "semantic", "--data={data}/three"], "expected 64 training images or more"),
    "encoder": (["train", "encoder", "--data={data}/three", "--classifier=null"], "expected 64 training images or more"),
    "colour": (
        ["evaluate", "--generator=painted-generator"],
        "got digits-evaluator, trained on 1 x 28 x 28; pass --extractor",
    ),
    "colours": (
        ["edit", "label", "--generator=painted-generator", "--data=digits", "--label=3"],
        "1 x 28 x 28; pass --classifier",
    ),
    "their labels": (
        ["train", "encoder", "--data=fashion-mnist"],
        "expected a classifier of fashion-mnist, got digits-guide",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_work_is_refused_before_it_begins(
    what: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, message = REFUSED[what]
    assert main([*(word.format(data=data) for word in arguments), "--device=cpu", "--out", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_one_image_is_enough_to_recover(data: Path, tmp_path: Path) -> None:
    few = ["--solver=adam", "--steps=2", "--restarts=1", "--self_check=0", "--device=cpu"]
    assert main(["recover", str(data / "three" / "b" / "1.png"), *few, "--out", str(tmp_path / "[out]")]) == 0
    assert len(read_json(tmp_path / "[out]" / "results.json")["result"]["images"]) == 1


def _nothing(settings: SemanticsSettings, run: Run) -> dict[str, Any]:
    return {}


def test_results_stay_out_of_each_of_several_data_sets(tmp_path: Path) -> None:
    settings = SemanticsSettings(data=("digits", str(tmp_path)), out=str(tmp_path / "out"))
    with pytest.raises(ValueError, match="outside the data"):
        command()(_nothing)(settings)
