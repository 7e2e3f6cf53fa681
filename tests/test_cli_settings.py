"""Where settings come from: files, the environment, flags; help that fits on a screen; completion without torch."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from latentry.cli import main
from latentry.cli.verbs import flat
from latentry.tasks import train as training
from latentry.tasks.edit import swap as editing
from latentry.tasks.sample import run as sampling

VERBS = [*flat()]


@dataclass
class Caught:
    """What a verb was told, in place of its work."""

    settings: Any = None

    def __call__(self, settings: Any) -> dict[str, Any]:
        self.settings = settings
        return {}


@pytest.fixture
def caught(monkeypatch: pytest.MonkeyPatch) -> Caught:
    catcher = Caught()
    monkeypatch.setattr(sampling, "sample", catcher)
    monkeypatch.setattr(training, "train_gan", catcher)
    return catcher


def from_file(tmp_path: Path, text: str | bytes) -> str:
    path = tmp_path / "given.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return f"--config={path}"


def test_words_of_a_file_are_words(tmp_path: Path, caught: Caught) -> None:
    text = "precision: no\nsteps: 3\nprior: off\ndata: 2024-01-02\nout: 3:8:45\nr1: 1e-3\njson: yes\nforce: no"
    text += "\nseed: 010"
    assert main(["train", "gan", from_file(tmp_path, text)]) == 0
    found = caught.settings
    assert (found.precision, found.steps, found.prior) == ("no", 3, "off")
    assert (found.data, found.out, found.r1, found.seed) == ("2024-01-02", "3:8:45", 1e-3, 10)
    assert (found.json, found.force) == (True, False)


REFUSED: dict[str | bytes, str] = {
    "": "expected settings, NAME: VALUE on each line, got nothing",
    "- a\n- b": "got a list",
    b"out: \xff\xfe": "expected text in UTF-8",
    "a: [1": "given.yaml",
    "bogus: 1": "expected settings of `latentry train gan`, got 'bogus'",
    "step: 1": "got 'step'; did you mean 'steps'?",
    "steps: many": "--steps: expected a whole number, got many",
    "betas: 0.5": "--betas: expected a list in brackets, as [ONE,TWO], got 0.5",
    "betas: [0.5]": "--betas: expected a list of 2 in brackets, as [ONE,TWO], got [0.5]",
    "device: null": "--device: expected a value, got null",
    "schedule: null": "--schedule: expected a value, got null",
    "objective: hing": "expected non-saturating or hinge or least-squares, got hing",
    "seed: 1\nsteps: 2\nsteps: 3": "expected each setting once, got 'steps' again in line 3",
    "seed: 1\nseed: 2": "expected each setting once, got 'seed' again in line 2",
    "out: " + "[" * 500 + "]" * 500: "got hundreds of levels within each other",
    "a: " + "{b: " * 500 + "1" + "}" * 500: "got hundreds of levels within each other",
    "force: perhaps": "--force: expected true or false, got perhaps",
}


def test_one_value_for_a_list_of_any_length_is_shown_as_a_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prior", "show", "uniform", "--t=0.5"]) == 2
    assert "--t: expected a list in brackets, as [0.5], got 0.5; `latentry prior show --help`" in capsys.readouterr().err


@pytest.mark.parametrize("text", REFUSED, ids=range(len(REFUSED)))
def test_what_a_file_says_wrong_is_told_in_one_sentence(
    text: str | bytes, tmp_path: Path, caught: Caught, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "gan", from_file(tmp_path, text)]) == 2
    said = capsys.readouterr().err
    assert REFUSED[text] in said
    assert len(said.splitlines()) == 1
    assert caught.settings is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("weights: {pul: 1}", "got 'weights.pul'; did you mean 'weights.pull'?"),
        ("weights: {pull: many}", "--weights.pull: expected a number, got many"),
        ("weights: {pull: null}", "--weights.pull: expected a value, got null"),
        ("weights: {pull: 2, pull: 3}", "expected each setting once, got 'pull' again in line 1"),
    ],
)
def test_settings_within_settings_are_told_as_well(
    text: str, said: str, tmp_path: Path, caught: Caught, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "label-split", from_file(tmp_path, text)]) == 2
    assert said in capsys.readouterr().err
    assert caught.settings is None


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"LATENTRY_TRAIN__GAN__STEPSS": "3"}, "did you mean 'LATENTRY_TRAIN__GAN__STEPS'?"),
        ({"LATENTRY_TRAIN__GAN__STEPS": "x"}, "--steps: expected a whole number, got x"),
        ({"LATENTRY_TRAIN__GAN__CONFIG": "/no/such.yaml"}, "/no/such.yaml"),
        ({"LATENTRY_TRAIN__GAN__IMAGE_SIZE": ""}, "--image_size: expected a whole number or null, got nothing"),
        ({"LATENTRY_TRAIN__GAN__PRECISION": "no", "LATENTRY_SAMPLE__COUNTS": "of another verb"}, ""),
    ],
)
def test_a_variable_of_the_environment_is_a_setting_or_refused(
    variables: Mapping[str, str],
    said: str,
    caught: Caught,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert main(["train", "gan"]) == (2 if said else 0)
    assert said in capsys.readouterr().err


def test_a_shipped_model_names_its_settings(tmp_path: Path, caught: Caught, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["train", "gan", "--config=digits-generator", "--seed=5"]) == 0
    assert (caught.settings.width, caught.settings.seed) == (56, 5)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits-generator").write_text("width: 3")
    assert main(["train", "gan", "--config", "digits-generator"]) == 0
    assert caught.settings.width == 3


def test_a_flag_of_true_or_false_alone_means_true(caught: Caught, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(editing, "edit_swap", caught)
    for words, style, images in (
        (["--style"], True, []),
        (["--style", "--count=2"], True, []),
        (["a.png", "--style"], True, ["a.png"]),
        (["--style", "a.png"], True, ["a.png"]),
        (["--style", "true", "a.png"], True, ["a.png"]),
        (["--style", "false"], False, []),
        (["--style=false"], False, []),
    ):
        assert main(["edit", "swap", *words]) == 0
        assert (caught.settings.style, caught.settings.images) == (style, images)
    for words, json, force in (
        (["--json", "a.png", "--force"], True, True),
        (["--json=false", "--force", "true"], False, True),
    ):
        assert main(["edit", "swap", *words]) == 0
        assert (caught.settings.json, caught.settings.force) == (json, force)
    assert main(["train", "gan", "--tensorboard", "--steps=3"]) == 0
    assert (caught.settings.tensorboard, caught.settings.steps) == (True, 3)


def test_home_is_expanded_in_a_flag(tmp_path: Path, caught: Caught, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    from_file(tmp_path, "count: 3")
    assert main(["sample", "--config=~/given.yaml"]) == 0
    assert caught.settings.count == 3


@pytest.mark.parametrize("verb", VERBS)
def test_help_fits_on_a_screen_and_the_whole_is_to_be_had(
    verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main([*verb.split(), "--help"]) == 0
    short = capsys.readouterr().out
    assert short.startswith(f"usage: latentry {verb} ")
    assert len(short.splitlines()) <= 80
    assert main([*verb.split(), "--help_all"]) == 0
    whole = capsys.readouterr().out
    for word in ("LATENTRY", "SUPPRESS", "MISSING", "ENV:"):
        assert word not in short + whole
    assert len(whole) > len(short)
    assert ("--vae.steps STEPS" in whole) == ("--vae.steps=" in short)


def test_completion_and_version_import_no_torch() -> None:
    code = (
        "import sys\nfrom latentry.cli import main\n"
        "done = [main(['--print_completion', 'shtab-bash']), main(['--version']), main(['train', 'gan', '--help'])]\n"
        "sys.exit('torch' in sys.modules or any(done))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env={**os.environ})
    assert done.returncode == 0, done.stderr
    assert "_shtab_latentry_train_gan" in done.stdout
    assert "\nlatentry 0" in done.stdout
