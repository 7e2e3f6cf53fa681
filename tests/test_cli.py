"""The command line as a user meets it: every verb, every way to get it wrong, and no traceback."""

import dataclasses
import json
import re
from pathlib import Path

import pytest
import torch
import yaml

from latentry.cli import main
from latentry.cli.verbs import flat
from latentry.data.recovered import load_codes
from latentry.latent.inverse_files import load_inverse
from latentry.models.pretrained import load_network, save_network
from latentry.models.saving import load_model
from latentry.networks import DCGANGenerator, PlainClassifier
from latentry.priors import GammaRadius, Normal, Tabulated, UnlabelledPrior, save_prior
from latentry.reports.pictures import write_png
from latentry.storage import read_json, read_tensors

TINY_GAN = ["--width=2", "--discriminator_width=2", "--latent_dim=4", "--device=cpu"]
TINY_RECOVERY = ["--solver=adam", "--steps=3", "--restarts=2", "--self_check=0"]
TINY_LOOP = ["--batch_size=8", "--checkpoint_every=2"]


@pytest.fixture
def generator(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_network(tmp_path / "generator", DCGANGenerator(8, width=2), Normal(8), {"note": "for tests"})
    return tmp_path / "generator"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for index in range(3):
        write_png(tmp_path / "images" / f"{index}.png", torch.rand(3, 40, 32) * 2 - 1)
    return tmp_path / "images"


def run(*arguments: object) -> int:
    """Exit code of a command, whether it returned or left through argument parsing."""
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as left:
        return int(left.code or 0)


def test_train_sample_and_recover_work_on_one_anothers_results(tmp_path: Path, images: Path) -> None:
    gan = tmp_path / "gan"
    assert run("train", "gan", *TINY_GAN, *TINY_LOOP, "--steps=4", "--out", gan) == 0
    assert {"results.json", "model", "checkpoints", "previews"} <= {path.name for path in gan.iterdir()}
    assert len(list((gan / "previews").glob("*.png"))) == 2
    model = load_network(gan / "model")
    assert model.card["settings"]["latent_dim"] == 4
    assert model.card["data"]["items"] == 8000

    assert run("sample", "--generator", gan / "model", "--count=5", "--out", tmp_path / "sample") == 0
    codes = read_tensors(tmp_path / "sample" / "codes.safetensors")
    with torch.no_grad():
        torch.testing.assert_close(model.network(codes["z"]), codes["x"], rtol=1e-4, atol=1e-5)

    recovery = tmp_path / "recovery"
    assert run("recover", images, "--generator", gan / "model", *TINY_RECOVERY, "--self_check=19", "--out", recovery) == 0
    assert load_codes(recovery).z.shape == (3, 4)
    rows = read_json(recovery / "results.json")["result"]["images"]
    assert [Path(row["image"]).name for row in rows] == ["0.png", "1.png", "2.png"]
    assert all(0.05 <= row["own_p_value"] <= 1 for row in rows)
    page = (recovery / "index.html").read_text()
    assert "data:image/png;base64," in page
    changed = "of 3 images: 3 from colour to grey, 3 cropped about their centre, 3 resized from 32 x 40 to 28 x 28"
    assert read_json(recovery / "results.json")["result"]["notes"] == [changed]
    assert changed in page
    assert run("recover", images, "--generator", gan / "model", "--out", images / "recovery") == 2
    assert not (images / "recovery").exists()
    assert model.card["data"]["class_names"] == list("0123456789")


def test_a_classifier_keeps_its_best_checkpoint_and_is_scored_on_held_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "classifier"
    arguments = ["--width=4", "--fold=[1,8]", *TINY_LOOP, "--steps=4", "--device=cpu", "--out", out]
    assert run("train", "classifier", *arguments) == 0
    metrics = load_network(out / "model").card["metrics"]
    assert metrics["validation"]["trials"] == metrics["held-out"]["trials"] == 1000
    assert metrics["step"] in (2, 4)
    assert "accuracy on held-out" in capsys.readouterr().out


def test_an_inverse_is_trained_goes_on_after_a_kill_and_loads_for_its_generator(
    tmp_path: Path, generator: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = ["--steps=4", "--batch_size=8", "--width=2", "--checkpoint_every=2", "--device=cpu"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    command = ["train", "inverse", "--generator", generator, *tiny]
    assert run(*command, "--out", whole) == 0
    assert "code error on fresh codes" in capsys.readouterr().out
    assert {"pairs.png", "results.json", "inverse.json", "inverse.safetensors"} <= {path.name for path in whole.iterdir()}
    inverse = load_inverse(whole, load_network(generator).network)
    result = read_json(whole / "results.json")["result"]
    assert result["code_error"] == inverse.report.code_error
    assert [step for step, _ in result["course"]] == [2, 4]

    assert run(*command, "--out", broken) == 0
    (broken / "results.json").unlink()  # as if it had been killed before the end
    assert run(*command, "--learning_rate=1", "--out", broken) == 2
    assert "other settings (learning_rate)" in capsys.readouterr().err
    assert run(*command, "--out", broken) == 0
    weights = [read_tensors(out / "inverse.safetensors") for out in (whole, broken)]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


@pytest.mark.parametrize("flag", [("--images",), ()])
def test_images_may_have_a_flag(flag: tuple[str, ...], tmp_path: Path, generator: Path, images: Path) -> None:
    options = ["--generator", generator, "--device=cpu", *TINY_RECOVERY, "--out", tmp_path / "out"]
    assert run("recover", *options, *flag, images / "0.png", images / "1.png") == 0
    assert len(read_json(tmp_path / "out" / "results.json")["result"]["images"]) == 2


def test_training_resumes_where_it_was_and_refuses_other_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert run("train", "gan", *TINY_GAN, *TINY_LOOP, "--steps=4", "--out", whole) == 0
    assert run("train", "gan", *TINY_GAN, *TINY_LOOP, "--steps=2", "--out", broken) == 0
    (broken / "results.json").unlink()  # as if it had been killed before the end
    assert run("train", "gan", *TINY_GAN, *TINY_LOOP, "--steps=4", "--latent_dim=5", "--out", broken) == 2
    assert "other settings (latent_dim" in capsys.readouterr().err
    assert run("train", "gan", *TINY_GAN, *TINY_LOOP, "--steps=4", "--out", broken) == 0
    weights = [load_model(out / "model").fingerprint for out in (whole, broken)]
    assert weights[0] == weights[1]


def test_values_come_from_the_environment_the_file_and_flags_in_that_order(
    tmp_path: Path, generator: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "sample.yaml"
    config.write_text(yaml.safe_dump({"generator": str(generator), "columns": 3, "seed": 5}))
    for name, value in (("COUNT", 4), ("COLUMNS", 4), ("SEED", 4)):
        monkeypatch.setenv(f"LATENTRY_SAMPLE__{name}", str(value))
    assert run("sample", "--config", config, "--seed=6", "--out", tmp_path / "sample") == 0
    settings = read_json(tmp_path / "sample" / "results.json")["settings"]
    assert (settings["count"], settings["columns"], settings["seed"]) == (4, 3, 6)


def test_an_earlier_result_stays_unless_forced_and_strangers_files_always(
    tmp_path: Path, generator: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["sample", "--generator", generator, "--count=2", "--out", tmp_path / "out"]
    assert run(*command) == 0
    (tmp_path / "out" / "mine.txt").write_text("mine")
    before = read_json(tmp_path / "out" / "results.json")
    assert run(*command, "--seed=9") == 2
    assert "--force" in capsys.readouterr().err
    assert read_json(tmp_path / "out" / "results.json") == before
    assert run(*command, "--seed=9", "--force") == 0
    assert read_json(tmp_path / "out" / "results.json") != before
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"


def test_evaluate_judges_samples_at_the_prior_and_between_and_codes_if_asked(
    tmp_path: Path, generator: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_network(tmp_path / "eyes", PlainClassifier(10, width=4), None, {})
    assert run("recover", images, "--generator", generator, *TINY_RECOVERY, "--out", tmp_path / "recovery") == 0
    chosen = [
        "--generator",
        generator,
        "--extractor",
        tmp_path / "eyes",
        "--count=60",
        "--rules=[lerp,transport]",
        "--t=[0.5]",
    ]
    assert run("evaluate", *chosen, "--codes", tmp_path / "recovery", "--out", tmp_path / "out") == 0
    result = read_json(tmp_path / "out" / "results.json")["result"]
    assert [row["rule"] for row in result["rows"]] == [None, "lerp", "transport"]
    for row in result["rows"]:
        frechet = row["samples"]["frechet_distance"]
        assert frechet["low"] <= frechet["value"] <= frechet["high"]
        assert row["samples"]["extractor"]["name"] == "PlainClassifier"
    assert {"passes", "verdict", "checks"} == set(result["codes"])
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count("data:image/png;base64,") == 3
    assert "<span>generated</span><span>real</span>" in page
    assert "transport" in capsys.readouterr().out


@pytest.mark.parametrize("prior", [Tabulated(8, [0.2, 0.6, 0.2]), GammaRadius(8)], ids=["table", "radial"])
def test_a_prior_in_a_file_is_what_codes_are_held_against(prior: UnlabelledPrior, tmp_path: Path, images: Path) -> None:
    save_prior(tmp_path / "prior.json", prior)
    torch.manual_seed(0)
    save_network(tmp_path / "own", DCGANGenerator(8, width=2), prior, {})
    save_network(tmp_path / "other", DCGANGenerator(8, width=2), Normal(8), {})
    save_network(tmp_path / "eyes", PlainClassifier(10, width=4), None, {})
    for generator, extra in (("own", []), ("other", ["--prior", tmp_path / "prior.json"])):
        found = tmp_path / f"recover-{generator}"
        assert run("recover", images, "--generator", tmp_path / generator, *extra, *TINY_RECOVERY, "--out", found) == 0
        made = tmp_path / f"evaluate-{generator}"
        chosen = ["--extractor", tmp_path / "eyes", "--count=60", "--rules=[transport]", "--t=[0.5]"]
        codes = ["--codes", found]
        assert run("evaluate", "--generator", tmp_path / generator, *extra, *chosen, *codes, "--out", made) == 0
        result = read_json(made / "results.json")["result"]
        assert result["prior"] == repr(prior)
        assert result["rows"][1]["rejected"]["value"] < 0.2  # transported codes are codes of this prior


@pytest.mark.parametrize("verb", ["sample", "recover"])
def test_json_is_all_there_is_on_standard_output(
    verb: str, tmp_path: Path, generator: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    extra = [images, *TINY_RECOVERY] if verb == "recover" else ["--count=2"]
    assert run(verb, *extra, "--generator", generator, "--json", "--out", tmp_path / "out") == 0
    printed = capsys.readouterr().out
    assert json.loads(printed) == read_json(tmp_path / "out" / "results.json")


def test_equal_seeds_give_equal_results(tmp_path: Path, generator: Path, images: Path) -> None:
    for name in ("one", "two"):
        assert run("recover", images, "--generator", generator, *TINY_RECOVERY, "--seed=4", "--out", tmp_path / name) == 0
    one, two = (load_codes(tmp_path / name) for name in ("one", "two"))
    assert torch.equal(one.z, two.z)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sample", "--generator", "no-such-model"], "shipped models"),
        (["sample", "--generator", "{empty}"], "a folder without config.json"),
        (["sample", "--generator", "{unweighted}"], "expected weights"),
        (["sample", "--generator", "{classifier}"], "is a classifier"),
        (["sample", "--generator", "{generator}", "--count=0"], "count and columns"),
        (["sample", "--generator", "{generator}", "--device=quantum"], "--device cpu"),
        (["sample", "--generator", "{generator}", "--device=meta"], "expected a device that computes, got 'meta'"),
        (["sample", "--generator", "{trained}"], "its model is {trained}/model"),
        (["sample", "--generator", "{generator}", "--out", "{generator}/config.json"], "is a file"),
        (["recover", "{empty}", "--generator", "{generator}"], "expected images in the folder"),
        (["recover", "{images}/missing.png", "--generator", "{generator}"], "missing.png"),
        (["recover", "{images}", "--generator", "{generator}", "--prior=banana"], "banana"),
        (["recover", "{images}", "--generator", "{generator}", "--restarts=0"], "restarts >= 1"),
        (["recover"], "images"),
        (["study", "--count=0"], "a count of 1 to 1000"),
        (["evaluate", "--rules=[bent]"], "bent"),
        (["evaluate", "--codes", "{generator}/model.safetensors"], "expected codes named z"),
        (["evaluate", "--codes", "{tmp_path}/none.npy"], "expected a file of codes at {tmp_path}/none.npy, found none"),
        (["evaluate", "--generator", "{generator}", "--extractor", "{generator}"], "expected a classifier"),
        (["evaluate", "--generator", "{generator}", "--extractor", "{classifier}", "--count=5"], "at least 12"),
        (["train", "inverse", "--generator", "{classifier}"], "is a classifier"),
        (["train", "inverse", "--generator", "{generator}", "--batch_size=1"], "batch_size >= 2"),
        (["train", "gan", "--data", "{empty}"], "{empty}"),
        (["train", "gan", "--prior=banana"], "banana"),
        (["train", "gan", "--steps=0"], "steps >= 1"),
        (["train", "gan", "--config", "missing.yaml"], "missing.yaml"),
        (["train", "gan", "--image_size=50"], "50"),
        (["no-such-verb"], "no-such-verb"),
    ],
    ids=lambda value: " ".join(map(str, value))[:40] if isinstance(value, list) else "",
)
def test_bad_input_ends_with_code_2_one_sentence_and_no_traceback(
    arguments: list[str], message: str, tmp_path: Path, generator: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty, unweighted, classifier = (tmp_path / name for name in ("empty", "unweighted", "classifier"))
    empty.mkdir()
    unweighted.mkdir()
    (unweighted / "config.json").write_text((generator / "config.json").read_text())
    save_network(classifier, PlainClassifier(3, width=2), None, {})
    trained = tmp_path / "trained"
    save_network(trained / "model", PlainClassifier(3, width=2), None, {})
    places = {name: str(value) for name, value in locals().items() if isinstance(value, Path)}
    if "--out" not in arguments:
        arguments = [*arguments, "--out={tmp_path}/out"]
    filled = [argument.format(**places) for argument in arguments]
    assert run(*filled) == 2
    error = capsys.readouterr().err
    assert message.format(**places) in re.sub(r"\s*\n\s*", " ", error)
    assert "Traceback" not in error
    assert not (tmp_path / "out" / "results.json").exists()


@pytest.mark.parametrize(
    ("setting", "place"), [("loop", "file"), ("loop", "flag"), ("loop", "environment"), ("data", "file"), ("betas", "file")]
)
def test_no_setting_imports_a_module(
    setting: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "stranger.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w').close()\nKind = int")
    monkeypatch.syspath_prepend(tmp_path)
    value = {"class_path": "stranger.Kind", "init_args": {}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({setting: value}))
    if place == "environment":
        monkeypatch.setenv(f"LATENTRY_TRAIN__GAN__{setting.upper()}", json.dumps(value))
    extra = {"file": ["--config", tmp_path / "config.yaml"], "flag": [f"--{setting}", json.dumps(value)]}.get(place, [])
    assert run("train", "gan", *extra, "--out", tmp_path / "out") == 2
    assert "Traceback" not in capsys.readouterr().err
    assert not (tmp_path / "imported").exists()


@pytest.mark.parametrize("verb", flat())
def test_every_verb_explains_each_of_its_settings(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*verb.split(), "--help") == 0
    shown = capsys.readouterr().out
    for field in dataclasses.fields(flat()[verb].settings):
        assert f"--{field.name}" in shown or f"\n  {field.name} " in shown, field.name
    assert "MISSING" not in shown
