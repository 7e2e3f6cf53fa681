"""`latentry train label-split`: what it leaves, exact resume, signs of collapse, one sentence for bad input."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from latentry.cli import main
from latentry.models.label_split import LabelSplit
from latentry.models.pretrained import load_network, save_network
from latentry.models.saving import load_model
from latentry.networks import Perceptron, Zheng2019Decoder
from latentry.priors import NormalMixture
from latentry.storage import read_json, read_tensors
from latentry.tasks.train_label_split import collapse_signs

TINY = [
    "--width=2", "--label_dim=3", "--style_dim=4", "--steps=4", "--batch_size=9", "--checkpoint_every=2",
    "--flow_steps=3", "--json", "--device=cpu",
]  # fmt: skip


def run(*arguments: object) -> int:
    try:
        return main([str(argument) for argument in ("train", "label-split", *arguments)])
    except SystemExit as left:
        return int(left.code or 0)


def images(path: Path, y: Any, side: int = 28) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (len(y), side, side, 1), dtype=np.uint8)
    np.savez(path, x=pixels, y=y)
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return images(tmp_path_factory.mktemp("data") / "three.npz", np.arange(90) % 3)


@pytest.mark.parametrize(
    "more",
    [
        (),
        ("--gan=true", "--stochastic=true", "--adversary_sees=means", "--weights.dependence=0.1", "--flow_steps=0"),
        ("--gan=true", "--standardised=true", "--least_deviation=0.4", "--sampled_styles=others"),
    ],
)
def test_it_leaves_a_model_pictures_and_numbers(data: Path, more: tuple[str, ...], tmp_path: Path) -> None:
    assert run("--data", data, "--out", tmp_path, *TINY, *more) == 0
    result = read_json(tmp_path / "results.json")["result"]
    assert [entry["step"] for entry in result["validation"]] == [2, 4]
    assert set(result["held_out"]) == {"accuracy", "calibration", "reconstruction", "active"}
    with Image.open(tmp_path / "previews" / "step-00000004.png") as sheet:
        assert sheet.width == 5 * 28 + 6 * 2  # an image, its reconstruction, three labels
    split = load_model(tmp_path / "model")
    assert split.prior.latent_dim == 7
    assert (split.flow is None) == ("--flow_steps=0" in more)
    assert load_network(tmp_path / "model").prior is not None  # serves as a generator


def test_a_run_that_stopped_goes_on_as_if_it_had_not(data: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run("--data", data, "--out", whole, *TINY, "--gan=true") == 0
    assert run("--data", data, "--out", parts, *TINY, "--gan=true", "--steps=2") == 0
    (parts / "results.json").unlink()
    assert run("--data", data, "--out", parts, *TINY, "--gan=true") == 0
    a, b = (load_model(folder / "model") for folder in (whole, parts))
    x = torch.randn(3, 1, 28, 28)
    assert_close(a.encode(x).mean, b.encode(x).mean, rtol=0, atol=0)
    assert_close(a.prior.loc, b.prior.loc, rtol=0, atol=0)


def broken(**parts: Any) -> list[str]:
    """Signs for a split of vectors with some parts replaced."""
    wide, flat = Perceptron(5, 2, ()), Perceptron(5, 8, ())
    torch.nn.init.zeros_(flat.layers[0].weight)
    prior = NormalMixture(torch.tensor([[-1.0, 0.0], [1.0, 0.0]]), torch.ones(2, 2)).beside_normal(4)
    sound = LabelSplit(Perceptron(6, 5, ()), prior, wide, Perceptron(5, 8, ()), 2)
    if parts.get("flat_style"):
        sound = replace(sound, style_encoder=flat)
    if parts.get("narrow"):
        narrow = NormalMixture(prior.loc, torch.cat([torch.full((2, 2), 0.1), torch.ones(2, 4)], 1))
        sound = replace(sound, prior=narrow)
    if parts.get("flat_label"):
        dead = Perceptron(5, 2, ())
        torch.nn.init.zeros_(dead.layers[0].weight)
        sound = replace(sound, label_encoder=dead)
    if parts.get("deaf_decoder"):
        with torch.no_grad():
            sound.generator.layers[0].weight[:, 2:] = 0
    return collapse_signs(sound, 3 * torch.randn(50, 5))


def test_collapse_is_told_by_its_signs() -> None:
    assert broken() == []
    assert [sign.split(":")[0] for sign in broken(flat_style=True)] == ["z_u is dead"]
    assert [sign.split(":")[0] for sign in broken(deaf_decoder=True)] == ["z_u has no effect"]
    assert [sign.split(":")[0] for sign in broken(narrow=True)] == ["precisions run away"]
    assert [sign.split(":")[0] for sign in broken(flat_label=True)] == ["z_s is dead"]


@pytest.mark.parametrize(
    ("y", "more", "said"),
    [
        (np.r_[np.arange(90) % 3, 3], (), "two training images or more of each class"),
        (np.zeros(60, dtype=int), (), "two classes or more"),
        (np.arange(90) % 6, (), "a label_dim of at least 5, got 3"),
        (np.arange(90) % 3, ("--style_dim=0",), "at least 1, got 3 and 0"),
        (np.arange(90) % 3, ("--weights.confusion=-1",), "weights of at least 0"),
        (np.arange(90) % 3, ("--least_deviation=1",), "from 0 to below the prior's 1"),
    ],
)
def test_bad_input_is_one_sentence(
    y: Any, more: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--data", images(tmp_path / "some.npz", y), "--out", tmp_path / "out", *TINY, *more) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_data_without_classes_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pixels = np.zeros((40, 28, 28, 1), dtype=np.uint8)
    np.savez(tmp_path / "signed.npz", x=pixels, attributes=np.resize([-1, 1], (40, 2)))
    assert run("--data", tmp_path / "signed.npz", "--out", tmp_path / "out", *TINY) == 2
    assert "expected classes in" in " ".join(capsys.readouterr().err.split())


def test_samples_bear_the_label_that_was_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prior = NormalMixture(torch.tensor([[-9.0], [9.0]]), torch.ones(2, 1)).beside_normal(3)
    save_network(tmp_path / "model", Zheng2019Decoder(4, width=1), prior, {})

    def sample(*more: str) -> int:
        return main(["sample", "--generator", str(tmp_path / "model"), "--count=6", "--json", "--force", *more])

    assert sample("--label=1", "--out", str(tmp_path / "one")) == 0
    z = read_tensors(tmp_path / "one" / "codes.safetensors")["z"]
    assert (prior.label_log_probs(z).argmax(1) == 1).all()
    assert sample("--label=2", "--out", str(tmp_path / "two")) == 2
    assert "a class of the prior, got '2'; it has 0, 1" in capsys.readouterr().err
    assert main(["sample", "--label=1", "--out", str(tmp_path / "three")]) == 2
    assert "whose prior has labels" in " ".join(capsys.readouterr().err.split())
