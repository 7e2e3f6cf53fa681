"""`latentry edit swap` and `edit hide`: codes change in the part that was asked for, what is seen stays."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from latentry.cli import main
from latentry.data.sources import load_dataset
from latentry.models.label_split import LabelSplit
from latentry.models.saving import save_model
from latentry.networks import Zheng2019Decoder, Zheng2019Encoder
from latentry.priors import NormalMixture
from latentry.reports.pictures import write_png
from latentry.storage import read_json, read_tensors

S, U = 2, 3


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    prior = NormalMixture(torch.randn(4, S), torch.ones(4, S)).beside_normal(U)
    encoders = Zheng2019Encoder(S, width=1).eval(), Zheng2019Encoder(2 * U, width=1).eval()
    folder = tmp_path_factory.mktemp("split")
    save_model(folder, LabelSplit(Zheng2019Decoder(S + U, width=1).eval(), prior, *encoders, S))
    return folder


def edit(verb: str, model: Path, out: Path, *more: str) -> int:
    return main(["edit", verb, "--generator", str(model), "--out", str(out), "--data=digits", "--count=5", "--json", *more])


def codes(out: Path) -> tuple[torch.Tensor, torch.Tensor]:
    found = read_tensors(out / "codes.safetensors")
    return found["z"], found["z_edited"]


def test_a_label_changes_what_it_is_and_not_how_it_looks(model: Path, tmp_path: Path) -> None:
    assert edit("swap", model, tmp_path, "--label=2") == 0
    z, moved = codes(tmp_path)
    assert_close(moved[:, S:], z[:, S:])
    assert (moved[:, :S] == moved[0, :S]).all()
    result = read_json(tmp_path / "results.json")["result"]
    assert len(result["label_before"]) == len(result["label_after"]) == 5
    assert "data:image/png;base64," in (tmp_path / "index.html").read_text()


def test_a_swap_gives_each_image_the_look_of_the_next(model: Path, tmp_path: Path) -> None:
    assert edit("swap", model, tmp_path, "--style=true") == 0
    z, moved = codes(tmp_path)
    assert_close(moved[:, :S], z[:, :S])
    assert_close(moved[:, S:], z[:, S:].roll(-1, 0))


def test_an_image_alone_has_no_style_but_its_own_and_a_note_says_so(model: Path, tmp_path: Path) -> None:
    write_png(tmp_path / "image.png", torch.zeros(1, 28, 28))
    told = ["--generator", str(model), "--out", str(tmp_path / "out"), "--style", "--json", str(tmp_path / "image.png")]
    assert main(["edit", "swap", *told]) == 0
    z, moved = codes(tmp_path / "out")
    assert_close(moved, z)
    assert "keeps its own style" in read_json(tmp_path / "out" / "results.json")["result"]["notes"][-1]


def test_a_hidden_box_is_filled_and_the_rest_is_the_image(model: Path, tmp_path: Path) -> None:
    assert edit("hide", model, tmp_path, "--box=8:6:10:12") == 0
    with Image.open(tmp_path / "after.png") as sheet:
        made = torch.from_numpy(np.asarray(sheet)[::2, ::2].copy())[2:30, 2:30]  # the first image, without magnification
    given = load_dataset("digits").split("held-out").images(range(1))[0, 0]
    kept = ((given + 1) * 127.5).round().to(torch.uint8)
    outside = torch.ones(28, 28, dtype=torch.bool)
    outside[8:18, 6:18] = False
    assert torch.equal(made[outside], kept[outside])
    assert not torch.equal(made[~outside], kept[~outside])


def test_a_label_and_the_style_of_the_next_may_be_swapped_at_once(model: Path, tmp_path: Path) -> None:
    assert edit("swap", model, tmp_path, "--label=2", "--style") == 0
    z, moved = codes(tmp_path)
    assert (moved[:, :S] == moved[0, :S]).all()
    assert_close(moved[:, S:], z[:, S:].roll(-1, 0))


@pytest.mark.parametrize(
    ("verb", "more", "said"),
    [
        ("swap", (), "expected a part to swap, got none"),
        ("swap", ("--label=4",), "a class of the label split, got '4'; it has 0, 1, 2, 3"),
        ("swap", ("--style=true", "--count=1"), "at least 2 with --style"),
        ("swap", ("--label=1", "--turns=1:2:30"), "--turns"),
        ("swap", ("--label=1", "--margin=2"), "--margin"),
        ("hide", (), "expected a value of --box, got none; `latentry edit hide --help`"),
        ("hide", ("--box=1:2:3",), "TOP:LEFT:HEIGHT:WIDTH"),
        ("hide", ("--box=20:20:12:12",), "expected"),
        ("hide", ("--box=0:0:28:28",), "expected --box to leave part of the image, got 0:0:28:28"),
        ("label", ("--label=1",), "expected a generator, got a label split"),
        ("rotate", ("--turns=1:2:30",), "use `latentry edit swap` or `latentry edit hide` with that one"),
        ("features", ("--levels=bold=1",), "expected a semantic model, got a label split"),
    ],
)
def test_bad_input_is_one_sentence(
    model: Path, verb: str, more: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert edit(verb, model, tmp_path / "out", *more) == 2
    assert said in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("command", [("swap", "--style"), ("hide", "--box=8:6:10:12")])
def test_a_plain_generator_has_no_style_to_swap(
    command: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["edit", *command, "--generator=digits-generator", "--data=digits", "--out", str(tmp_path)]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "expected a label split, got a generator, digits-generator" in said
    assert "use `latentry edit label` or `latentry edit rotate` with that one" in said


@pytest.mark.parametrize("edit", ["swap", "hide", "features"])
def test_an_edit_by_a_model_of_ours_has_no_flags_of_third_party_generators(
    edit: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["edit", edit, "--help"]) == 0
    assert "--code_shape" not in capsys.readouterr().out
