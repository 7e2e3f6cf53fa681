"""The script that renders letters from fonts, on the fonts that matplotlib brings."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import matplotlib
import numpy as np
import pytest
import torch

from latentry.data.npz import load_npz
from latentry.evaluation.strokes import measure_strokes

SCRIPT = Path(__file__).parents[1] / "scripts" / "build_type.py"
FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
KNOWN = {  # bold, italic, serif, mono
    "DejaVuSans": (0, 0, 0, 0),
    "DejaVuSans-Bold": (1, 0, 0, 0),
    "DejaVuSans-Oblique": (0, 1, 0, 0),
    "DejaVuSerif": (0, 0, 1, 0),
    "DejaVuSerif-BoldItalic": (1, 1, 1, 0),
    "DejaVuSansMono": (0, 0, 0, 1),
}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_type", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def faces(script: ModuleType) -> list[Any]:
    return [script.read_face(FONTS / f"{name}.ttf") for name in KNOWN]


@pytest.fixture(scope="module")
def arrays(script: ModuleType, faces: list[Any]) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = script.archive(faces, 32)
    return arrays


def drawn(arrays: dict[str, np.ndarray], name: str) -> np.ndarray:
    """Ink of A-Z, `(26, 32, 32)` in [0, 1]."""
    return arrays["images"].reshape(len(KNOWN), 26, 32, 32)[list(KNOWN).index(name)] / 255


def test_attributes_are_those_that_the_fonts_are_known_for(arrays: dict[str, np.ndarray]) -> None:
    assert arrays["attributes"][::26].tolist() == [list(known) for known in KNOWN.values()]
    assert arrays["attribute_names"].tolist() == ["bold", "italic", "serif", "mono"]
    assert arrays["faces"][26] == "DejaVu Sans Bold"


@pytest.mark.parametrize(
    ("number", "name", "level"),
    [
        (250, "Roboto Thin", -1),
        (100, "Lato Hairline Italic", -1),
        (500, "Inter Medium", 0),
        (400, "Hack Italic", 0),
        (600, "Jura SemiBold", 1),
        (900, "Vollkorn Black Italic", 1),
        (400, "Averia Serif GWF Light", None),
        (350, "League Spartan Regular", None),
    ],
)
def test_a_weight_is_known_where_table_and_name_agree(script: ModuleType, number: int, name: str, level: int | None) -> None:
    assert script.weight_level(number, name) == level


def test_bold_letters_have_more_ink(arrays: dict[str, np.ndarray]) -> None:
    regular, bold = (drawn(arrays, name).sum((1, 2)) for name in ("DejaVuSans", "DejaVuSans-Bold"))
    assert (bold > 1.2 * regular).all()


def test_oblique_letters_slant_to_the_right_by_the_angle_of_the_font(arrays: dict[str, np.ndarray]) -> None:
    upright, oblique = (
        measure_strokes(torch.from_numpy(2 * drawn(arrays, name)[:, None] - 1).float()).slant
        for name in ("DejaVuSans", "DejaVuSans-Oblique")
    )
    degrees = (oblique.tan() - upright.tan()).atan().rad2deg()
    assert degrees.min() > 5
    assert 10 < degrees.median() < 12.5


@pytest.mark.parametrize("side", [32, 57, 64])
def test_all_faces_have_one_cap_height_and_letters_stay_inside(script: ModuleType, faces: list[Any], side: int) -> None:
    letters = np.stack([script.letter_images(face.path, side)[0] for face in faces]) / 255
    ink = letters[:, script.LETTERS.index("H")].max(2)
    heights = ink.sum(1) / ink.max(1)
    np.testing.assert_allclose(heights, script.cap_pixels(side), atol=0.26)
    assert script.cap_pixels(side) == pytest.approx(0.62 * side, abs=1)
    rows = np.arange(side) - (side - 1) / 2
    np.testing.assert_allclose(ink @ rows / ink.sum(1), 0, atol=0.13)
    framed = letters.copy()
    framed[:, :, 1:-1, 1:-1] = 0
    assert (framed == 0).all()
    assert (letters.max((2, 3)) > 0.2).all()


def test_letters_are_centred_by_their_ink(arrays: dict[str, np.ndarray]) -> None:
    columns = arrays["images"].max(1) > 0
    left, right = columns.argmax(1), columns[:, ::-1].argmax(1)
    assert np.abs(left - right).max() <= 1


def test_equal_faces_are_taken_once(script: ModuleType, faces: list[Any]) -> None:
    assert script.different([*faces, *faces]) == faces


def test_splits_never_part_a_family(script: ModuleType, faces: list[Any]) -> None:
    listed = [family for group in script.GROUPS.values() for family in (*group.sans, *group.serif)]
    assert len(listed) == len(set(listed)) == len(script.FAMILIES)
    assert {group.split for group in script.GROUPS.values()} == set(script.SPLITS)
    assert {face.split for face in faces} == {"train"}
    assert script.family_of("Quicksand Light") == "Quicksand"
    assert script.family_of("Noto Sans Symbols") is None


def test_the_archive_loads(script: ModuleType, arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    path = tmp_path / "new" / "type.npz"
    script.save(arrays, path)
    assert list(path.parent.iterdir()) == [path]
    loaded = load_npz(path)
    assert loaded.shape == (1, 32, 32)
    assert loaded.class_names == tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    assert loaded.labels.tolist() == list(range(26)) * len(KNOWN)
    assert loaded.attribute_names == ("bold", "italic", "serif", "mono")
    with np.load(path) as archive:
        assert archive["zeros"].shape == ()
        assert str(archive["zeros"]) == "neutral"
        assert archive["splits"].shape == archive["faces"].shape == (26 * len(KNOWN),)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["a.npz", "--size", "7"], "expected a size of 8..256 pixels, got 7"),
        (["a.txt"], "ends in .npz"),
        (["a.npz"], "found none; run: apt-get install"),
    ],
)
def test_bad_input_is_said_in_a_sentence(
    script: ModuleType,
    arguments: list[str],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["build_type.py", *arguments])
    monkeypatch.setenv("PATH", "")  # no dpkg
    with pytest.raises(SystemExit, match="2"):
        script.main()
    assert sentence in capsys.readouterr().err
