"""What a training leaves to look at: a page that opens with pictures, curves of the losses, and a log of their numbers."""

from pathlib import Path

import pytest
import torch

from latentry.reports.pictures import grid, write_png
from latentry.storage import read_json
from latentry.tasks.runs import Run
from latentry.tasks.trainings import finish_training, previews
from latentry.training.loop import Trained

DONE = Trained(25, 0, {"generator": [3.0, 2.0, 1.5], "discriminator": [0.1, 0.25, 0.5], "unused": []}, checkpoint_every=10)


def run_in(folder: Path) -> Run:
    return Run("TrainGAN", {}, folder, torch.device("cpu"), seed=0, quiet=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for step in (10, 20, 25):
        write_png(tmp_path / "previews" / f"step-{step:08d}.png", grid(torch.zeros(4, 1, 3, 3), 2))
    shown = previews(tmp_path, "Samples", columns=("left", "right"))
    finish_training(run_in(tmp_path), {"model": "here"}, (("loss <b>", "1.5"),), ["a note"], {"gan": DONE}, shown)
    return tmp_path


def test_losses_belong_to_the_checkpoints_where_their_means_end() -> None:
    assert DONE.losses_by_step == {
        "generator": [(10, 3.0), (20, 2.0), (25, 1.5)],
        "discriminator": [(10, 0.1), (20, 0.25), (25, 0.5)],
    }


def test_the_log_has_a_line_for_each_checkpoint(folder: Path) -> None:
    assert (folder / "log.txt").read_text().splitlines() == [
        "gan  step 10  generator 3.0000  discriminator 0.1000",
        "gan  step 20  generator 2.0000  discriminator 0.2500",
        "gan  step 25  generator 1.5000  discriminator 0.5000",
    ]


def test_the_page_opens_with_the_last_and_the_first_picture_and_has_the_curves(folder: Path) -> None:
    page = (folder / "index.html").read_text()
    places = [page.index(text) for text in ("Samples after 25 steps", "Samples after 10 steps", "<h2>Losses", "<h2>Trained")]
    assert places == sorted(places)
    assert "after 20 steps" not in page
    assert page.count('class="chart"') == 1
    assert page.count('<span title="right">right</span>') == 2
    assert "loss &lt;b&gt;" in page
    assert read_json(folder / "results.json")["result"] == {"model": "here", "notes": ["a note"]}
    assert "Note: a note." in page


def test_a_training_without_losses_or_pictures_has_a_page_too(tmp_path: Path) -> None:
    nothing = Trained(0, 0, {})
    finish_training(run_in(tmp_path), {}, (), (), {"gan": nothing})
    assert "<img" not in (tmp_path / "index.html").read_text()
    assert (tmp_path / "log.txt").read_text() == ""
