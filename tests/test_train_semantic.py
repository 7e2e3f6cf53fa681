"""`latentry train semantic`, and sampling and editing with what it leaves: both stages, resume, one sentence for errors."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.testing import assert_close

from latentry.cli import main
from latentry.models.saving import load_model, save_model
from latentry.models.semantic import SemanticModel
from latentry.networks import Zheng2019Decoder, Zheng2019Encoder
from latentry.priors import SemanticPlacement, save_prior
from latentry.storage import read_json, read_tensors

TINY = [
    "--width=2", "--latent_dim=6", "--vae.steps=4", "--vae.batch_size=9", "--vae.checkpoint_every=2",
    "--gan.steps=4", "--gan.batch_size=9", "--gan.checkpoint_every=2", "--json", "--device=cpu",
]  # fmt: skip


def run(*arguments: object) -> int:
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as left:
        return int(left.code or 0)


def same(first: nn.Module, second: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Attributes thick and slanted, measured, and two classes."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("data") / "toys.npz"
    attributes = rng.integers(-1, 2, (120, 2))
    np.savez(
        path, x=rng.integers(0, 256, (120, 16, 16), dtype=np.uint8), y=np.arange(120) % 2, class_names=["cat", "dog"],
        attributes=attributes, attribute_names=["thick", "slanted"], zeros="neutral",
    )  # fmt: skip
    return path


@pytest.fixture(scope="module")
def model(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("model")
    assert run("train", "semantic", "--data", data, "--held_out=thick=-1", "--out", out, *TINY) == 0
    return out / "model"


def test_it_leaves_both_stages_films_and_numbers(model: Path) -> None:
    out = model.parent
    result = read_json(out / "results.json")["result"]
    assert set(result["held_out"]) == {"vae", "gan"}
    assert set(result["held_out"]["gan"]) == {"reconstruction", "rate", "levels_missed"}
    trained = load_model(model)
    assert trained.prior.features == ("thick", "slanted", "cat", "dog")
    assert not (trained.prior.combinations[:, 0] == -1).any()
    assert (trained.prior.combinations[:, 1] == -1).any()
    with Image.open(out / "films.png") as sheet:
        assert sheet.width == 2 * (7 * 16 + 8 * 2)
    for stage in ("vae", "gan"):
        assert (out / stage / "previews" / "step-00000004.png").exists()
        assert load_model(out / stage / "model").prior.features == trained.prior.features
    first, second = (load_model(out / stage / "model") for stage in ("vae", "gan"))
    assert same(first.encoder, second.encoder)
    assert not same(first.generator, second.generator)


@pytest.mark.parametrize("stopped", ["--vae.steps=2", "--gan.steps=2"])
def test_a_run_that_stopped_in_either_stage_goes_on_as_if_it_had_not(
    model: Path, data: Path, stopped: str, tmp_path: Path
) -> None:
    more = ("--data", data, "--held_out=thick=-1", "--vae.schedule=constant", "--gan.schedule=constant", *TINY)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run("train", "semantic", "--out", whole, *more) == 0
    assert run("train", "semantic", "--out", parts, *more, stopped) == 0
    (parts / "results.json").unlink()
    if "vae" in stopped:  # the second stage began from another decoder
        shutil.rmtree(parts / "gan")
    assert run("train", "semantic", "--out", parts, *more) == 0
    a, b = (load_model(folder / "model") for folder in (whole, parts))
    z = torch.randn(3, 6)
    assert_close(a.decode(z), b.decode(z), rtol=0, atol=0)


@pytest.mark.parametrize(
    "more",
    [
        ("--classes=false", "--attributes=[slanted]", "--gan.consistency=distribution", "--gan.discriminator_sees=images"),
        ("--gan.fresh=true", "--gan.train_encoder=true", "--gan.reversed_share=0.5", "--combination=codes"),
        ("--attributes=[]", "--separation=6", "--gan.consistency_weight=0"),
    ],
)
def test_its_options_train(data: Path, more: tuple[str, ...], tmp_path: Path) -> None:
    assert run("train", "semantic", "--data", data, "--out", tmp_path, *TINY, *more) == 0
    assert load_model(tmp_path / "model").prior.latent_dim == 6


def test_a_placement_of_ones_own_is_taken_as_it_is(data: Path, tmp_path: Path) -> None:
    means = torch.randn(2, 6)
    own = SemanticPlacement(["thick", "slanted"], 6, means=means, scale=[0.5] * 6)
    save_prior(tmp_path / "own.json", own)
    more = ("--classes=false", "--placement", tmp_path / "own.json")
    assert run("train", "semantic", "--data", data, "--out", tmp_path / "out", *TINY, *more) == 0
    placement = load_model(tmp_path / "out" / "model").prior
    assert_close(placement.means, means)
    assert_close(placement.deviations, torch.full((6,), 0.5))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--held_out=thik=-1",), "did you mean 'thick'"),
        (("--held_out=thick=2",), "expected a level -1, 0 or 1 of thick, got 2"),
        (("--held_out=thick=1",), "none with thick"),
        (("--held_out=thick",), "expected NAME=LEVEL with commas between in --held_out"),
        (("--attributes=[thik]",), "did you mean 'thick'"),
        (("--block=2",), "got 4 of 2; take smaller ones"),
        (("--separation=0",), "cannot be distinguished from neutral"),
        (("--separations=thik=3",), "expected separations of thick"),
        (("--attributes=[]", "--classes=false"), "neither attributes nor classes"),
        (("--placement=missing.json",), "missing.json"),
        (("--gan.reversed_share=2",), "reversed_share from 0 to 1"),
    ],
)
def test_bad_input_is_one_sentence(
    data: Path, more: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("train", "semantic", "--data", data, "--out", tmp_path / "out", *TINY, *more) == 2
    assert message in capsys.readouterr().err
    if not more[0].startswith("--gan"):
        assert not (tmp_path / "out").exists()


def test_faces_with_a_list_of_attributes_are_data_too(tmp_path: Path) -> None:
    folder = tmp_path / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    rng = np.random.default_rng(0)
    lines = ["30", "Smiling Young"]
    for item in range(30):
        Image.fromarray(rng.integers(0, 256, (20, 16, 3), dtype=np.uint8)).save(folder / "img_align_celeba" / f"{item}.png")
        lines.append(f"{item}.png {1 if item % 3 == 0 else -1} {1 if item % 2 else -1}")
    (folder / "list_attr_celeba.txt").write_text("\n".join(lines) + "\n")
    more = ("--image_size=16", "--attributes=[Smiling]")
    assert run("train", "semantic", "--data", folder, "--out", tmp_path / "out", *TINY, *more) == 0
    placement = load_model(tmp_path / "out" / "model").prior
    assert placement.features == ("Smiling",)
    assert placement.combinations.tolist() == [[0.0], [1.0]]  # not to smile is neutral


def test_samples_have_the_levels_that_were_asked_for(model: Path, tmp_path: Path) -> None:
    asked = "--levels=thick=-1,slanted=0.5,dog=1"
    assert run("sample", "--generator", model, "--out", tmp_path, "--count=400", "--json", asked) == 0
    levels = load_model(model).prior.levels(read_tensors(tmp_path / "codes.safetensors")["z"])
    assert_close(levels.mean(0), torch.tensor([-1.0, 0.5, 0.0, 1.0]), atol=0.06, rtol=0.0)


def test_a_level_far_from_those_of_training_is_noted(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = "--levels=thick=9,slanted=-3"
    assert run("sample", "--generator", model, "--out", tmp_path, "--count=2", asked) == 0
    (note,) = read_json(tmp_path / "results.json")["result"]["notes"][-1:]
    assert note.startswith("thick=9 is far outside -1 to 1")
    printed = capsys.readouterr().out
    assert "Note: thick=9" in printed
    assert "slanted=-3 is far" not in printed


def test_what_is_not_asked_for_is_drawn_as_it_occurred(model: Path, tmp_path: Path) -> None:
    assert run("sample", "--generator", model, "--out", tmp_path, "--count=400", "--json", "--levels=slanted=0") == 0
    placement = load_model(model).prior
    levels = placement.levels(read_tensors(tmp_path / "codes.safetensors")["z"])
    expected = placement.probs @ placement.combinations
    expected[1] = 0
    assert_close(levels.mean(0), expected, atol=0.1, rtol=0.0)


@pytest.mark.parametrize("encode", [True, False])
def test_features_of_images_are_set_and_reversed(encode: bool, model: Path, data: Path, tmp_path: Path) -> None:
    more = ("--data", data, "--count=3", "--frames=3", "--json", *(["--encode"] if encode else []))
    assert run("edit", "features", "--generator", model, "--out", tmp_path, "--levels=dog=1", "--reverse=thick", *more) == 0
    codes, placement = read_tensors(tmp_path / "codes.safetensors"), load_model(model).prior
    before, after = (placement.levels(codes[name]) for name in ("z", "z_edited"))
    assert_close(after, before * torch.tensor([-1.0, 1, 0, 0]) + torch.tensor([0.0, 0, 0, 1]), atol=1e-4, rtol=0.0)
    result = read_json(tmp_path / "results.json")["result"]["levels"]
    assert set(result) == {"thick", "slanted", "cat", "dog"}
    assert "data:image/png;base64," in (tmp_path / "index.html").read_text()


@pytest.mark.parametrize(
    ("verb", "more", "message"),
    [
        ("edit features", (), "--levels NAME=LEVEL,... or --reverse"),
        ("edit features", ("--levels=thik=1",), "did you mean 'thick'"),
        ("edit features", ("--reverse=cat",), "exclusive"),
        ("edit features", ("--reverse=thick", "--levels=thick=1"), "in both"),
        ("edit features", ("--levels=cat=1,dog=1",), "cat and dog"),
        ("edit features", ("--levels=thick=1", "--turns=0:1:30"), "--turns"),
        ("edit features", ("--levels=thick=1", "--frames=1"), "--frames of at least 2"),
        ("sample", ("--levels=thick=x",), "expected NAME=LEVEL"),
        ("sample", ("--levels=thick=1,thick=0",), "thick again"),
        ("sample", ("--levels=thick=1", "--label=1"), "got both"),
    ],
)
def test_bad_edits_and_samples_are_one_sentence(
    model: Path, data: Path, verb: str, more: tuple[str, ...], message: str, tmp_path: Path, capsys: Any
) -> None:
    given = ("--data", data) if verb.startswith("edit") else ()
    assert run(*verb.split(), "--generator", model, "--out", tmp_path / "out", "--json", *given, *more) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("command", ["label --label=1", "rotate --turns=0:1:30", "swap --style", "hide --box=1:1:2:2"])
def test_other_edits_name_the_one_of_a_semantic_model(
    command: str, model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("edit", *command.split(), "--generator", model, "--data", data, "--out", tmp_path / "out") == 2
    assert "use `latentry edit features` with that one" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["edit features", "sample"])
def test_features_need_a_model_that_has_some(verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ("--data=digits",) if verb.startswith("edit") else ()
    assert run(*verb.split(), "--generator=digits-generator", "--out", tmp_path / "out", "--levels=thick=1", *given) == 2
    assert "latentry train semantic" in capsys.readouterr().err


def test_a_model_without_free_features_shows_samples(tmp_path: Path) -> None:
    from latentry.tasks.train_semantic import feature_films

    torch.manual_seed(0)
    placement = SemanticPlacement("ab", 3, exclusive="ab")
    networks = Zheng2019Decoder(3, 16, width=1).eval(), Zheng2019Encoder(6, 16, width=1).eval()
    save_model(tmp_path, SemanticModel(networks[0], placement, networks[1]))
    assert feature_films(load_model(tmp_path), 0).shape[-1] == 10 * 16 + 11 * 2
