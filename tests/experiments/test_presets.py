"""Presets of experiments: files of settings, which the command line finds by their name."""

from pathlib import Path

import pytest

from experiments.__main__ import EXPERIMENTS, with_presets
from experiments.framework.settings import preset
from latentry.cli.parser import verb_and_values, verbs_parser

PRESETS = sorted((Path(__file__).parents[2] / "experiments").glob("*/presets/*.yaml"))


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: f"{path.parts[-3]} {path.stem}")
def test_a_preset_is_the_same_from_the_command_line_and_from_python(path: Path) -> None:
    words = with_presets([path.parts[-3], "--preset", path.stem])
    parser = verbs_parser(words, EXPERIMENTS)
    _, verb, values = verb_and_values(parser, parser.parse_args(words), EXPERIMENTS)
    assert verb.settings(**values) == preset(verb.settings, path.stem)  # type: ignore[type-var]


def test_every_experiment_has_the_same_presets() -> None:
    assert {path.parts[-3] for path in PRESETS} == {*EXPERIMENTS.verbs}
    assert {path.stem for path in PRESETS} == {"quick", "full", "paper"}


@pytest.mark.parametrize("given", [["--preset", "quick"], ["--preset=quick"]])
def test_a_flag_beats_the_preset_before_it(given: list[str]) -> None:
    words = with_presets(["recovery", *given, "--seeds", "5"])
    assert words[1] == "--config"
    assert Path(words[2]).name == "quick.yaml"
    assert words[3:] == ["--seeds", "5"]
    assert with_presets(["recovery", "--seeds", "5"]) == ["recovery", "--seeds", "5"]


def test_a_preset_that_is_not_there_is_named_beside_those_that_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        with_presets(["recovery", "--preset", "huge"])
    assert left.value.code == 2
    assert "one of full, paper, quick, got 'huge'" in capsys.readouterr().err
