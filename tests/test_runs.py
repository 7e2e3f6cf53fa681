"""A folder is one run's at a time, force replaces what is finished and nothing else, and no refused run leaves a trace."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from latentry import storage
from latentry.cli import main
from latentry.models.pretrained import save_network
from latentry.models.settings import SemanticVAESettings
from latentry.networks import DCGANGenerator
from latentry.priors import Normal, Tabulated, save_prior
from latentry.storage import read_json, write_text
from latentry.tasks import runs
from latentry.tasks.coding.settings import BasisSettings
from latentry.tasks.recover.settings import RecoverSettings
from latentry.tasks.sample import run as sampling
from latentry.tasks.sample.settings import SampleSettings
from latentry.tasks.study.settings import StudySettings
from latentry.tasks.train import train_gan
from latentry.tasks.train_settings import TrainGANSettings


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    save_network(folder, DCGANGenerator(4, width=2), Normal(4), {})
    return str(folder)


def draw(generator: str, out: Path, **changes: Any) -> dict[str, Any]:
    return sampling.sample(SampleSettings(**{"generator": generator, "out": str(out), "count": 2, "json": True, **changes}))


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def failing(error: BaseException) -> Callable[..., Any]:
    def fail(*arguments: object, **options: object) -> Any:
        raise error

    return fail


def test_force_replaces_a_finished_result_and_nothing_else(generator: str, tmp_path: Path) -> None:
    draw(generator, tmp_path, seed=1)
    write_text(tmp_path / "mine.txt", "mine")
    before = tree(tmp_path)
    with pytest.raises(ValueError, match="holds an earlier result; choose another --out, or replace it with --force"):
        draw(generator, tmp_path, seed=2)
    assert tree(tmp_path) == before
    draw(generator, tmp_path, seed=2, force=True)
    after = tree(tmp_path)
    assert after.keys() == before.keys()
    assert after["mine.txt"] == before["mine.txt"]
    assert after["codes.safetensors"] != before["codes.safetensors"]


def test_force_leaves_what_is_not_finished_to_be_gone_on_from(tmp_path: Path) -> None:
    seen: list[dict[str, bytes]] = []

    @runs.command("checkpoints", "grid.png")
    def verb(settings: SampleSettings, run: runs.Run) -> dict[str, Any]:
        seen.append({name: content for name, content in tree(run.folder).items() if not name.startswith(".latentry")})
        return {}

    write_text(tmp_path / "checkpoints" / "step-1" / "state.json", "{}")
    write_text(tmp_path / "grid.png", "")
    verb(SampleSettings(out=str(tmp_path), force=True))
    write_text(tmp_path / "results.json", "{}")
    verb(SampleSettings(out=str(tmp_path), force=True))
    assert [sorted(names) for names in seen] == [["checkpoints/step-1/state.json", "grid.png"], []]


@pytest.mark.parametrize("error", [ValueError("bad"), OSError("full"), KeyboardInterrupt()], ids=["bad", "full", "Ctrl-C"])
def test_a_forced_run_that_fails_before_it_writes_loses_nothing(
    error: BaseException, generator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(generator, tmp_path)
    before = tree(tmp_path)
    monkeypatch.setattr(sampling, "grid", failing(error))
    with pytest.raises(type(error)):
        draw(generator, tmp_path, force=True)
    assert tree(tmp_path) == before
    with pytest.raises(type(error)):
        draw(generator, tmp_path / "deep" / "new")
    assert tree(tmp_path) == before
    assert not (tmp_path / "deep").exists()


def test_force_replaces_nothing_that_the_verb_reads(generator: str, tmp_path: Path) -> None:
    @runs.command("basis")
    def verb(settings: BasisSettings, run: runs.Run) -> dict[str, Any]:
        write_text(run.folder / "basis" / "basis.json", str(settings.basis))
        return run.record({})

    out, other = tmp_path / "out", tmp_path / "other"
    verb(BasisSettings(out=str(out)))
    verb(BasisSettings(out=str(other)))
    before = tree(tmp_path)
    for basis in (out, out / "basis", out / "." / "basis" / "basis.json"):
        with pytest.raises(ValueError, match="expected --basis outside the results that --force replaces"):
            verb(BasisSettings(out=str(out), basis=str(basis), force=True))
        assert tree(tmp_path) == before
    verb(BasisSettings(out=str(out), basis=str(other / "basis"), force=True))
    assert (out / "basis" / "basis.json").read_text() == str(other / "basis")


def test_force_stops_at_links_and_at_what_no_verb_writes(generator: str, tmp_path: Path) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    draw(generator, out)
    elsewhere.mkdir()
    (out / "grid.png").rename(elsewhere / "grid.png")
    (out / "grid.png").symlink_to(elsewhere / "grid.png")
    before = tree(tmp_path)
    with pytest.raises(ValueError, match=r"grid\.png is a link; remove it yourself"):
        draw(generator, out, force=True)
    (out / "grid.png").unlink()
    (out / "grid.png").mkdir()
    with pytest.raises(ValueError, match=r"expected a file of an earlier result at .*grid\.png, but it is a folder"):
        draw(generator, out, force=True)
    (out / "grid.png").rmdir()
    (out / "grid.png").symlink_to(elsewhere / "grid.png")
    assert tree(tmp_path) == before


def test_results_may_go_through_a_link_and_over_the_home_folder(
    generator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "runs").symlink_to(tmp_path / "disk")
    draw(generator, tmp_path / "runs", seed=1)
    draw(generator, tmp_path / "runs", seed=2, force=True)
    assert read_json(tmp_path / "disk" / "results.json")["settings"]["seed"] == 2
    monkeypatch.setenv("HOME", str(tmp_path))
    draw(generator, Path("~/mine"))
    assert (tmp_path / "mine" / "results.json").exists()


@pytest.mark.parametrize("kind", ["file", "below a file", "link to nothing"])
def test_what_is_no_folder_is_refused(kind: str, generator: str, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.symlink_to(tmp_path / "nothing") if kind == "link to nothing" else place.write_text("mine")
    out = place / "deep" if kind == "below a file" else place
    for force in (False, True):
        with pytest.raises(ValueError, match=f"expected a folder for results, but {place} is a"):
            draw(generator, out, force=force)
    assert os.path.lexists(place)
    assert len([*tmp_path.iterdir()]) == 1


def test_a_second_run_in_the_same_folder_ends_with_code_2_and_one_sentence(
    generator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(storage, "_PATIENCE", 0.0)
    with storage.locked_folder(tmp_path):
        before = tree(tmp_path)
        assert main(["sample", "--generator", generator, "--out", str(tmp_path)]) == 2
        assert tree(tmp_path) == before
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert f"another run is at work in {tmp_path}" in said[0]
    assert main(["sample", "--generator", generator, "--count=2", "--out", str(tmp_path)]) == 0
    assert sorted(tree(tmp_path)) == ["codes.safetensors", "grid.png", "index.html", "results.json"]


def test_leftovers_of_a_killed_run_go_with_the_next(generator: str, tmp_path: Path) -> None:
    write_text(tmp_path / ".latentry-12ab.png", "half")
    draw(generator, tmp_path)
    assert sorted(tree(tmp_path)) == ["codes.safetensors", "grid.png", "index.html", "results.json"]


def test_sigterm_ends_a_command_as_ctrl_c_does_and_later_ones_are_their_own(
    generator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGTERM)

    def terminated(*arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(sampling, "grid", terminated)
    assert main(["sample", "--generator", generator, "--out", str(tmp_path / "out")]) == 143
    assert "terminated" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("settings", "change"),
    [
        (SampleSettings, {"count": 10**18}),
        (RecoverSettings, {"steps": 10**18}),
        (RecoverSettings, {"batch_size": 10**12}),
        (RecoverSettings, {"weight": float("nan")}),
        (RecoverSettings, {"weight": float("inf")}),
        (RecoverSettings, {"seed": -(2**70)}),
        (StudySettings, {"restarts": 10**9}),
        (TrainGANSettings, {"image_size": 10**6}),
        (TrainGANSettings, {"latent_dim": 10**8}),
        (TrainGANSettings, {"betas": (0.5, float("nan"))}),
        (SemanticVAESettings, {"warm_up": 2**63}),
    ],
)
def test_numbers_that_cannot_be_meant_are_told_by_their_name(settings: type[Any], change: dict[str, Any]) -> None:
    (name,) = change
    settings()
    with pytest.raises(ValueError, match=f"expected {name} "):
        settings(**change)


def test_a_record_is_what_was_asked_for(generator: str, tmp_path: Path) -> None:
    content = draw(generator, tmp_path, seed=3)
    assert content == json.loads((tmp_path / "results.json").read_text())
    assert content["settings"]["seed"] == 3
    assert not {"out", "json", "force", "continues"} & content["settings"].keys()


# ------------------------------------------------------------------------------------------------------------- trainings


def toys(path: Path, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    path.parent.mkdir(exist_ok=True)
    np.savez(path, x=rng.integers(0, 256, (40, 28, 28), dtype=np.uint8), y=np.arange(40) % 2)
    return path


def gan(place: Path, **changes: Any) -> TrainGANSettings:
    given: dict[str, Any] = {"data": str(place / "data" / "toys.npz"), "latent_dim": 4, "width": 2, "discriminator_width": 2}
    given |= {"steps": 2, "batch_size": 8, "checkpoint_every": 1}
    return TrainGANSettings(out=str(place / "out"), device="cpu", json=True, **{**given, **changes})


def test_other_data_or_another_prior_under_the_same_name_are_noticed(tmp_path: Path) -> None:
    toys(tmp_path / "data" / "toys.npz", 1)
    save_prior(tmp_path / "prior.json", Tabulated(4, [0.2, 0.6, 0.2]))
    settings = gan(tmp_path, prior=str(tmp_path / "prior.json"))
    train_gan(settings)
    (tmp_path / "out" / "results.json").unlink()  # as if it had been killed before the end
    toys(tmp_path / "data" / "toys.npz", 2)
    with pytest.raises(ValueError, match=r"other settings \(data\); restore them to go on, choose another"):
        train_gan(settings)
    toys(tmp_path / "data" / "toys.npz", 1)
    save_prior(tmp_path / "prior.json", Tabulated(4, [0.3, 0.4, 0.3]))
    with pytest.raises(ValueError, match=r"other settings \(prior\)"):
        train_gan(settings)
    save_prior(tmp_path / "prior.json", Tabulated(4, [0.2, 0.6, 0.2]))
    with pytest.raises(ValueError, match="2 steps behind it, more than the 1 of the settings; set 2 steps or more"):
        train_gan(gan(tmp_path, prior=str(tmp_path / "prior.json"), steps=1))
    train_gan(settings)


def test_data_that_only_moved_are_the_same_data(tmp_path: Path) -> None:
    toys(tmp_path / "data" / "toys.npz", 1)
    train_gan(gan(tmp_path))
    (tmp_path / "out" / "results.json").unlink()
    toys(tmp_path / "elsewhere" / "toys.npz", 1)
    train_gan(gan(tmp_path, data=str(tmp_path / "elsewhere" / "toys.npz"), steps=3))


def test_a_model_card_names_files_and_says_nothing_of_the_machine(tmp_path: Path) -> None:
    toys(tmp_path / "data" / "toys.npz", 1)
    train_gan(gan(tmp_path))
    card = read_json(tmp_path / "out" / "model" / "config.json")["card"]
    assert card["settings"]["data"] == "toys.npz"
    assert str(tmp_path) not in (tmp_path / "out" / "model" / "config.json").read_text()


def test_a_training_that_is_refused_leaves_no_folder(tmp_path: Path) -> None:
    toys(tmp_path / "data" / "toys.npz", 1)
    for change in ({"data": str(tmp_path / "absent")}, {"image_size": 50}, {"prior": "banana"}, {"ema": 3.0}):
        with pytest.raises(ValueError, match=r"."):
            train_gan(gan(tmp_path, **change))
        assert not (tmp_path / "out").exists()
