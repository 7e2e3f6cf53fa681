"""`latentry recover`: known codes are found and foreign images told, and no kill, process or order changes a code."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from PIL import Image

from latentry.cli import main
from latentry.data.recovered import load_codes
from latentry.data.survey import load_images
from latentry.latent.measurements import Downsample
from latentry.latent.solvers.adam import Adam
from latentry.latent.solvers.levenberg_marquardt import LevenbergMarquardt
from latentry.models.pretrained import load_network, save_network
from latentry.models.saving import load_model
from latentry.networks import DCGANGenerator, PlainClassifier
from latentry.priors import Normal, NormalMixture
from latentry.reports.pictures import write_png
from latentry.storage import read_json, read_metadata
from latentry.tasks.recover import report, shards
from latentry.tasks.recover.options import Measurement, measurement, named_regularizer, named_solver, recovery_options
from latentry.tasks.recover.settings import RecoverSettings, RegularizerName, ResamplingName
from latentry.tasks.recover.shards import ShardRecovery

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")  # of torch itself

FEW = ["--solver=adam", "--steps=3", "--restarts=2", "--self_check=0", "--device=cpu"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generator whose images differ, five images of its own in `own` and as many of noise in `noise`."""
    folder = tmp_path_factory.mktemp("recover")
    torch.manual_seed(0)
    network, prior = DCGANGenerator(4, width=4), Normal(4)
    with torch.no_grad():
        for _ in range(60):  # so that its normalisation knows its activations
            network(prior.sample(64))
        save_network(folder / "generator", network.eval(), prior, {})
        for index, x in enumerate(network(prior.sample(5))):
            write_png(folder / "own" / f"{index}.png", x)
            write_png(folder / "noise" / f"{index}.png", torch.rand(1, 28, 28) * 2 - 1)
    return folder


def run(*arguments: object) -> int:
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as left:
        return int(left.code or 0)


def recover(place: Path, out: Path, *extra: object, images: str = "own") -> int:
    return run("recover", place / images, "--generator", place / "generator", "--out", out, *extra)


def test_own_images_are_known_from_others_once_the_generator_was_asked_first(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = [place / "own", place / "noise"]
    assert run("recover", *images, "--generator", place / "generator", "--device=cpu", "--out", tmp_path) == 0
    result = read_json(tmp_path / "results.json")["result"]
    assert result["self_check"]["found"]["value"] >= 0.9
    assert result["self_check"]["found"]["trials"] == 20
    own, noise = result["images"][:5], result["images"][5:]
    assert all(row["met"] and row["own_p_value"] > 0.05 for row in own)
    assert not any(row["met"] or row["own_p_value"] > 0.05 for row in noise)
    assert result["success"]["met"]["value"] == 0.5
    said = capsys.readouterr().out
    assert "Self-check: of 20 images" in said
    assert "expect the true code" in " ".join(said.split())
    page = (tmp_path / "index.html").read_text()
    assert "own codes found" in page
    assert page.count("data:image/png;base64,") == 2


def test_codes_of_a_labelled_prior_are_recovered_reported_and_evaluated(place: Path, tmp_path: Path) -> None:
    trained = load_network(place / "generator").network
    loc = torch.tensor([[2.0, 0.0, 0.0, 0.0], [-2.0, 0.0, 0.0, 0.0]])
    save_network(tmp_path / "model", trained, NormalMixture(loc, torch.tensor([0.5, 1.0, 1.0, 1.0]).expand(2, 4)), {})
    asked = ("--generator", tmp_path / "model", "--device=cpu", "--out")
    assert run("recover", place / "own", *asked, tmp_path / "codes") == 0
    result = read_json(tmp_path / "codes" / "results.json")["result"]
    assert result["self_check"]["found"]["value"] >= 0.9
    assert all(0 <= row["p_value"] <= 1 for row in result["images"])
    codes = tmp_path / "codes" / "codes"
    assert run("evaluate", *asked, tmp_path / "report", "--count=100", "--codes", codes, "--data=digits") == 0
    rows = read_json(tmp_path / "report" / "results.json")["result"]["rows"]
    assert rows[0]["rejected"]["value"] < 0.15


def test_codes_lie_in_shards_that_say_how_they_were_made(place: Path, tmp_path: Path) -> None:
    assert recover(place, tmp_path, *FEW, "--shard_size=2") == 0
    shards = sorted((tmp_path / "codes").iterdir())
    assert [path.name for path in shards] == [f"codes-0000{number}.safetensors" for number in range(3)]
    codes, model = load_codes(tmp_path), load_model(place / "generator")
    assert [Path(name).name for name in codes.names] == [f"{index}.png" for index in range(5)]
    x = load_images([place / "own"], image_size=28, channels=1)
    with torch.no_grad():
        error = (model.generator(codes.z) - x).square().flatten(1).mean(1)
    torch.testing.assert_close(codes.reconstruction_error, error)
    facts = read_metadata(shards[1])
    assert (facts["generator"], facts["prior"]) == (model.fingerprint, repr(Normal(4)))
    assert json.loads(facts["versions"])["torch"]
    assert json.loads(facts["steps"]) == 3


def test_a_killed_run_goes_on_without_loss_or_repetition(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert recover(place, whole, *FEW, "--shard_size=2") == 0
    real, calls = shards.recover_codes, []

    def killed_in(call: int | None) -> Callable[..., Any]:
        def recover_codes(*arguments: Any, **options: Any) -> Any:
            calls.append(len(arguments[1]))
            if len(calls) == call:
                raise KeyboardInterrupt
            return real(*arguments, **options)

        return recover_codes

    monkeypatch.setattr(shards, "recover_codes", killed_in(2))
    assert recover(place, broken, *FEW, "--shard_size=2") == 130
    assert [path.name for path in (broken / "codes").iterdir()] == ["codes-00000.safetensors"]
    calls.clear()
    monkeypatch.setattr(shards, "recover_codes", killed_in(None))
    assert recover(place, broken, *FEW, "--shard_size=2") == 0
    assert calls == [2, 1]
    assert torch.equal(load_codes(whole).z, load_codes(broken).z)
    assert load_codes(whole).names == load_codes(broken).names


@pytest.mark.parametrize("stop", [1, 3, 4])
def test_a_run_killed_within_a_shard_keeps_its_parts_and_ends_as_an_undisturbed_one(
    stop: int, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards.ShardRecovery, "images_a_part", 1)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert recover(place, whole, *FEW, "--shard_size=3") == 0
    real, calls = shards.recover_codes, []

    def recover_codes(*arguments: Any, **options: Any) -> Any:
        calls.append(len(arguments[1]))
        if len(calls) == stop:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    monkeypatch.setattr(shards, "recover_codes", recover_codes)
    assert recover(place, broken, *FEW, "--shard_size=3") == 130
    assert len([*broken.glob("codes/*")]) == (1 if stop == 4 else stop - 1)
    assert recover(place, broken, *FEW, "--shard_size=3") == 0
    assert calls == [1] * 6  # five images, and the one that was not finished
    names = ["codes-00000.safetensors", "codes-00001.safetensors"]
    for folder in (whole, broken):
        assert sorted(path.name for path in (folder / "codes").iterdir()) == names
    for name in names:
        assert (whole / "codes" / name).read_bytes() == (broken / "codes" / name).read_bytes()


def test_parts_are_smaller_the_more_an_image_costs(place: Path) -> None:
    def images_a_part(width: int, **changes: Any) -> int:
        settings = RecoverSettings(**changes)
        seen = Measurement(1, 28)
        options = recovery_options(settings, 64, seen, None)
        return ShardRecovery(DCGANGenerator(64, width=width), Normal(64), options, {}).images_a_part

    assert images_a_part(8) > images_a_part(16) > images_a_part(64) > 1
    assert images_a_part(16, restarts=1) > images_a_part(16) > images_a_part(16, steps=80)
    assert images_a_part(16, solver="adam", steps=10) > images_a_part(16)
    assert images_a_part(2, steps=10**9) == 1


def test_shards_of_other_settings_or_images_are_refused(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "images"
    for index in range(2):
        write_png(images / f"{index}.png", torch.full((1, 28, 28), 0.1 * index))
    command = ["recover", images, "--generator", place / "generator", "--out", tmp_path / "out", *FEW]
    assert run(*command) == 0
    (tmp_path / "out" / "results.json").unlink()  # as if it had been killed before the end
    assert run(*command, "--seed=1") == 2
    assert "(seed)" in capsys.readouterr().err
    write_png(images / "1.png", torch.full((1, 28, 28), 0.7))
    assert run(*command) == 2
    assert "(images)" in capsys.readouterr().err
    shard = (tmp_path / "out" / "codes" / "codes-00000.safetensors").read_bytes()
    assert run(*command, "--force") == 2  # replaces finished results, and never what is not finished yet
    assert (tmp_path / "out" / "codes" / "codes-00000.safetensors").read_bytes() == shard
    shutil.rmtree(tmp_path / "out")
    assert run(*command) == 0


def test_two_processes_find_the_codes_of_one(place: Path, tmp_path: Path) -> None:
    # accelerate starts several processes for --multi_gpu alone; on a machine without GPUs they are CPU processes
    options = "--multi_gpu --num_processes 2 --num_machines 1 --mixed_precision no --dynamo_backend no --main_process_port 0"
    verb = ["recover", place / "own", "--generator", place / "generator", *FEW, "--shard_size=1", "--self_check=2"]
    together = [sys.executable, "-m", "accelerate.commands.launch", *options.split(), "-m", "latentry.cli", *verb]
    alone = [sys.executable, "-m", "latentry.cli", *verb]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for command, out in ((together, tmp_path / "together"), (alone, tmp_path / "alone")):
        done = subprocess.run(
            [*map(str, command), "--out", str(out)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("Codes and report") == 1
    one, two = load_codes(tmp_path / "alone"), load_codes(tmp_path / "together")
    assert torch.equal(one.z, two.z)
    assert one.names == two.names
    results = [read_json(tmp_path / name / "results.json")["result"] for name in ("alone", "together")]
    assert results[0] == results[1]


def test_of_too_many_codes_an_even_sample_is_tested(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert recover(place, tmp_path, *FEW, "--shard_size=2") == 0
    monkeypatch.setattr(report, "_TESTED", 8)
    found = report.recovery_summary(tmp_path / "codes", 5, Normal(4), None)
    assert torch.equal(found.tested, load_codes(tmp_path).z[::3])
    assert found.count == 5
    assert "even sample of 2 codes" in found.sentences[-1]


@pytest.mark.parametrize(("broken", "code"), [([1], 0), ([0, 1, 2, 3, 4], 1)], ids=["one", "all"])
def test_a_code_that_broke_the_generator_is_left_out_and_the_others_are_not(
    broken: list[int], code: int, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shards.recover_codes

    def breaking(*arguments: Any, **options: Any) -> Any:
        found = real(*arguments, **options)
        found.z[broken] = torch.nan
        found.reconstruction_error[broken] = torch.nan
        return found

    monkeypatch.setattr(shards, "recover_codes", breaking)
    assert recover(place, tmp_path, *FEW) == code
    if code == 0:
        rows = read_json(tmp_path / "results.json")["result"]["images"]
        assert [row["p_value"] is None for row in rows] == [False, True, False, False, False]
        assert rows[1]["reconstruction_error"] is None


def test_what_a_mask_hides_changes_no_code(place: Path, tmp_path: Path) -> None:
    write_png(tmp_path / "mask.png", torch.cat([torch.full((1, 28, 20), 1.0), torch.full((1, 28, 8), -1.0)], 2))
    x = load_images([place / "own"], image_size=28, channels=1)
    x[..., 20:] = 1.0
    for index, image in enumerate(x):
        write_png(tmp_path / "spoilt" / f"{index}.png", image)
    found = []
    for images in (place / "own", tmp_path / "spoilt"):
        out = tmp_path / f"out-{images.name}"
        mask = ["--mask", tmp_path / "mask.png"]
        assert run("recover", images, "--generator", place / "generator", *FEW, *mask, "--out", out) == 0
        found.append(load_codes(out))
    assert torch.equal(found[0].z, found[1].z)


def test_what_is_transparent_in_a_mask_is_hidden_and_grey_says_its_threshold(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = np.full((28, 28, 2), 255, dtype=np.uint8)
    pixels[:, 20:, 1] = 0  # white ink, clear on the right
    pixels[:2, :2, 0] = 127, 128
    Image.fromarray(pixels, "LA").save(tmp_path / "clear.png")
    seen = measurement(1, str(tmp_path / "clear.png"), (1, 28, 28))
    expected = torch.ones(1, 28, 28)
    expected[..., 20:] = expected[:, :2, 0] = 0
    assert seen.mask is not None
    assert torch.equal(seen.mask, expected)
    assert recover(place, tmp_path / "out", *FEW, "--mask", tmp_path / "clear.png") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "4 pixels of the mask neither black nor white: from 128 of 255 on they count as seen" in told
    assert "transparent parts of the mask are hidden" in told
    assert "transparent parts of the mask" in (tmp_path / "out" / "index.html").read_text()

    pixels[..., 0] = 0  # black ink on a clear ground shows nothing
    Image.fromarray(pixels, "LA").save(tmp_path / "ink.png")
    with pytest.raises(ValueError, match=r"hides everything in .*black and transparent are hidden"):
        measurement(1, str(tmp_path / "ink.png"), (1, 28, 28))


def test_a_broken_picture_is_named_before_anything_is_computed(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(place / "own", tmp_path / "own")
    whole = (tmp_path / "own" / "4.png").read_bytes()
    (tmp_path / "own" / "4.png").write_bytes(whole[: len(whole) // 2])
    monkeypatch.setattr(shards, "recover_codes", lambda *_, **__: pytest.fail("it was begun"))
    assert run("recover", tmp_path / "own", "--generator", place / "generator", *FEW, "--out", tmp_path / "out") == 2
    assert "expected a whole image of 8 or 16 bits in" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_smaller_images_are_compared_with_means_of_the_generators_pixels(place: Path, tmp_path: Path) -> None:
    small = Downsample(2)(load_images([place / "own"], image_size=28, channels=1))
    for index, image in enumerate(small):
        write_png(tmp_path / "small" / f"{index}.png", image)
    command = ["recover", tmp_path / "small", "--generator", place / "generator", *FEW, "--downsample=2"]
    assert run(*command, "--out", tmp_path / "out") == 0
    codes = load_codes(tmp_path / "out")
    with torch.no_grad():
        made = Downsample(2)(load_network(place / "generator").network(codes.z))
    given = load_images([tmp_path / "small"], image_size=14, channels=1)
    torch.testing.assert_close(codes.reconstruction_error, (made - given).square().flatten(1).mean(1))


def test_a_split_of_a_data_set_is_recovered_as_files_are(place: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 28, 28), dtype=np.uint8)
    np.savez(tmp_path / "few.npz", x=pixels, y=np.zeros(6, dtype=np.int64))
    data = ["--data", tmp_path / "few.npz", "--split=train"]
    assert run("recover", *data, "--generator", place / "generator", *FEW, "--out", tmp_path / "out") == 0
    assert load_codes(tmp_path / "out").names[0] == "few/train 0"


def test_an_inverse_gives_the_first_start(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = ["--steps=40", "--batch_size=16", "--width=4", "--device=cpu"]
    inverse = tmp_path / "inverse"
    assert run("train", "inverse", "--generator", place / "generator", *tiny, "--out", inverse) == 0
    one_step = ["--solver=adam", "--steps=1", "--learning_rate=1e-9", "--restarts=1", "--self_check=0", "--device=cpu"]
    for name, extra in (("drawn", []), ("learned", ["--inverse", inverse])):
        assert recover(place, tmp_path / name, *one_step, *extra) == 0
    drawn, learned = (load_codes(tmp_path / name) for name in ("drawn", "learned"))
    assert learned.reconstruction_error.mean() < drawn.reconstruction_error.mean()
    assert drawn.metadata["inverse"] == ""
    assert learned.metadata["inverse"]

    torch.manual_seed(1)
    save_network(tmp_path / "other", DCGANGenerator(4, width=4), Normal(4), {})
    assert (
        run("recover", place / "own", "--generator", tmp_path / "other", "--inverse", inverse, "--out", tmp_path / "o") == 2
    )
    assert "fit an inverse of this one" in capsys.readouterr().err


@pytest.mark.parametrize("name", get_args(RegularizerName))
def test_every_regularizer_of_a_name_is_least_at_no_far_code(name: RegularizerName) -> None:
    regularizer, prior = named_regularizer(name), Normal(64)
    if regularizer is None:
        assert name == "none"
        return
    near, far = prior.sample(8), 8 * prior.sample(8)
    assert (regularizer(near, prior) < regularizer(far, prior)).all()


@pytest.mark.parametrize(
    ("asked", "solver"),
    [
        ({}, "auto"),
        ({"steps": 7}, LevenbergMarquardt(steps=7)),
        ({"steps": 7, "difference": "l1"}, Adam(steps=7)),
        ({"solver": "levenberg-marquardt"}, LevenbergMarquardt()),
        ({"solver": "adam"}, Adam()),
        ({"solver": "adam", "learning_rate": 0.5}, Adam(learning_rate=0.5)),
    ],
    ids=str,
)
def test_a_solver_has_its_own_numbers_unless_told(asked: dict[str, Any], solver: object) -> None:
    assert named_solver(RecoverSettings(**asked), latent_dim=8) == solver


@pytest.mark.parametrize("name", get_args(ResamplingName)[1:])
def test_resampling_draws_anew_what_lies_beyond_its_bound(name: ResamplingName) -> None:
    solver = named_solver(RecoverSettings(solver="adam", steps=1, resampling=name, resampling_bound=3.0), latent_dim=8)
    assert isinstance(solver, Adam)
    assert solver.resampling is not None
    z = torch.full((4, 8), 20.0)
    assert solver.resampling(z, Normal(8), torch.Generator().manual_seed(0)).abs().max() < 6


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--inverse", "{place}/nowhere"], "expected a JSON file"),
        (["--inverse", "{place}/generator"], "expected a JSON file"),
        (["--mask", "{place}/generator/config.json"], "config.json"),
        (["--mask", "{place}/nowhere.png"], "nowhere.png"),
        (["--mask", "{tmp_path}/small.png"], "expected a mask of 28 x 28 pixels as the images have, got 9 x 7"),
        (["--mask", "{tmp_path}/black.png"], "got one that hides everything in"),
        (["--downsample=3"], "divides 28"),
        (["--downsample=0"], "divides 28"),
        (["--data=digits"], "not both"),
        (["--solver=newton"], "newton"),
        (["--regularizer=banana"], "banana"),
        (["--resampling=banana"], "banana"),
        (["--resampling=boundary"], "--solver adam"),
        (["--learning_rate=0.1"], "--solver adam"),
        (["--solver=adam", "--resampling=boundary", "--resampling_bound=0"], "resampling_bound above 0"),
        (["--solver=levenberg-marquardt", "--difference=l1"], "use solver=Adam()"),
        (["--steps=0"], "expected --steps >= 1, got 0"),
        (["--weight=3"], "expected a --regularizer, such as l2, along with --weight, which would change nothing"),
        (["--solver=adam", "--resampling_bound=2"], "expected a --resampling, such as boundary"),
        (["--split=train"], "expected --data along with --split"),
        (["--restarts=0"], "expected --restarts >= 1, got 0"),
        (["--weight=-1", "--regularizer=l2"], "expected --weight >= 0, got -1"),
        (["--self_check=-1"], "--self_check >= 0"),
        (["--shard_size=0"], "--shard_size >= 1"),
        (["--batch_size=0"], "expected --batch_size >= 1, got 0"),
        (["--generator", "{tmp_path}/classifier"], "is a classifier"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_named(
    extra: list[str], message: str, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_png(tmp_path / "small.png", torch.ones(1, 7, 9))
    write_png(tmp_path / "black.png", -torch.ones(1, 28, 28))
    save_network(tmp_path / "classifier", PlainClassifier(3, width=2), None, {})
    filled = [argument.format(place=place, tmp_path=tmp_path) for argument in extra]
    assert recover(place, tmp_path / "out", "--device=cpu", *filled) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert message in error
    assert "Traceback" not in error
    assert not (tmp_path / "out" / "results.json").exists()


@pytest.mark.parametrize("wrong", [{"restarts": 0}, {"batch_size": 0}, {"weight": -1.0}, {"steps": -1}, {"shard_size": 0}])
def test_numbers_outside_their_range_are_no_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"expected --{next(iter(wrong))} >= [01], got"):
        RecoverSettings(**wrong)


def test_no_images_at_all_are_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run("recover", "--out", tmp_path) == 2
    assert "expected images" in capsys.readouterr().err


def test_the_report_says_what_was_weighed_what_is_left_open_and_what_it_took(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert recover(place, tmp_path, *FEW, "--solver=lbfgs", "--regularizer=l2", "--weight=0.5") == 0
    printed, page = capsys.readouterr().out, (tmp_path / "index.html").read_text()
    result = read_json(tmp_path / "results.json")["result"]
    assert re.search(r"cost of a code +[\d,]+ passes, [\d.]+ s", printed)
    assert "left open" in printed
    assert f"l2, weight 0.5; mean pixel MSE with it {result['reconstruction_error']:.4g}" in page
    assert all(0 <= row["undetermined"] <= 1 for row in result["images"])
    for name in ("results.json", "index.html"):  # as if killed before the end, with all shards there
        (tmp_path / name).unlink()
    assert recover(place, tmp_path, *FEW, "--solver=lbfgs", "--regularizer=l2", "--weight=0.5") == 0
    assert re.search(r"cost of a code +[\d,]+ passes *\n", capsys.readouterr().out)
