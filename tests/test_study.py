"""The main job, at small size: everything it promises lies in the folder, and the evaluation classifier has no say in it."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from latentry.data import load_dataset
from latentry.storage import read_json, read_tensors
from latentry.tasks.study import run as study_module
from latentry.tasks.study.run import METHODS, study
from latentry.tasks.study.settings import StudySettings

SMALL = {"count": 6, "restarts": 2, "steps": 6, "damped_steps": 2, "device": "cpu", "json": True}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("study")
    study(StudySettings(out=str(out), **SMALL))  # type: ignore[arg-type]
    return out


def test_results_hold_every_method_on_both_kinds_of_targets(folder: Path) -> None:
    result = read_json(folder / "results.json")["result"]
    for kind in ("real", "own"):
        assert [row["method"] for row in result[kind]] == [method.name for method in METHODS]
        for row in result[kind]:
            assert 0 <= row["p_value"] <= 1
            assert row["reconstruction_error"] > 0
    assert all(row["label_kept"]["trials"] == 6 and row["codes_found"] is None for row in result["real"])
    assert all(row["codes_found"]["trials"] == 6 and row["label_kept"] is None for row in result["own"])


def test_the_strip_has_a_row_of_targets_and_one_for_each_method(folder: Path) -> None:
    with Image.open(folder / "recovered.png") as image:
        width, height = 3 * (6 * 30 + 2), 3 * ((1 + len(METHODS)) * 30 + 2)
        assert image.width > width + 50  # the names of the methods
        assert height < image.height < height + 30  # the classes
        targets = np.asarray(
            image.convert("RGB").crop((image.width - width, image.height - height, image.width, image.height))
        )
    x = load_dataset("digits").split("held-out").images([0])[0, 0]
    first = torch.from_numpy(targets[6 : 6 + 3 * 28 : 3, 6 : 6 + 3 * 28 : 3, 0].copy())
    assert (first / 127.5 - 1 - x).abs().max() < 1e-2


def test_codes_are_kept_with_their_generator(folder: Path) -> None:
    codes = read_tensors(folder / "codes.safetensors")
    assert set(codes) == {"own/known", *(f"{kind}/{method.name}" for kind in ("real", "own") for method in METHODS)}
    assert all(z.shape == (6, 64) for z in codes.values())


def test_the_page_needs_nothing_beside_it(folder: Path) -> None:
    page = (folder / "index.html").read_text()
    assert page.count("data:image/png;base64,") == 5
    assert page.count("<table>") == 2
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page


def test_the_page_opens_with_pictures_whose_rows_and_columns_have_names(folder: Path) -> None:
    page = (folder / "index.html").read_text()
    assert page.index("<img") < page.index("<table>")
    assert page.count('class="pixels"') == 2
    assert page.count("<span>original</span>") == 2
    names = [str(label) for label in load_dataset("digits").split("held-out").labels[:6].tolist()]
    assert "".join(f'<span title="{name}">{name}</span>' for name in names) in page


def test_it_says_in_plain_words_what_worked(folder: Path) -> None:
    page = (folder / "index.html").read_text()
    result = read_json(folder / "results.json")["result"]
    found = round(6 * result["own"][0]["codes_found"]["value"])
    kept = round(6 * result["real"][0]["label_kept"]["value"])
    assert f"Levenberg-Marquardt finds the codes of {found} of 6 images that the generator made" in page
    assert f"an evaluation classifier gives the same digit in {kept} of 6" in page


def test_codes_that_do_not_make_the_images_are_not_judged(folder: Path) -> None:
    x = load_dataset("digits").split("held-out").images(range(6)).double()
    rows = read_json(folder / "results.json")["result"]["real"]
    poor = [row["reconstruction_error"] / x.var(0).mean().item() > 0.5 for row in rows]
    assert any(poor)
    assert [bool(row["doubts"]) for row in rows] == poor
    assert not any(row["passes"] for row in rows if row["doubts"])
    page = (folder / "index.html").read_text()
    for method, lost in zip(METHODS, poor, strict=True):
        assert (f"{method.title}: Not evaluated: the codes do not make the images again" in page) >= lost


def test_another_evaluator_changes_no_code(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def sees_threes(classifier: object, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.full((len(x),), 3), torch.ones(len(x))

    monkeypatch.setattr(study_module, "predict_labels", sees_threes)
    study(StudySettings(out=str(tmp_path), **SMALL))  # type: ignore[arg-type]
    honest, swayed = (read_json(out / "results.json")["result"]["real"] for out in (folder, tmp_path))
    assert [row["label_kept"] for row in honest] != [row["label_kept"] for row in swayed]
    before, after = (read_tensors(out / "codes.safetensors") for out in (folder, tmp_path))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_longer_search_reconstructs_better(folder: Path, tmp_path: Path) -> None:
    study(StudySettings(out=str(tmp_path), **SMALL | {"steps": 40, "damped_steps": 5}))  # type: ignore[arg-type]
    short, long = (read_json(out / "results.json")["result"] for out in (folder, tmp_path))
    for kind in ("real", "own"):
        for before, after in zip(short[kind], long[kind], strict=True):
            assert after["reconstruction_error"] < before["reconstruction_error"]


def test_the_reported_time_is_that_of_the_work(folder: Path) -> None:
    result = read_json(folder / "results.json")["result"]
    parts = sum(row["seconds"] for kind in ("real", "own") for row in result[kind])
    assert 0 < parts <= result["seconds"]
    assert math.isfinite(result["seconds"])
