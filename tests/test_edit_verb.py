"""`latentry edit label` and `edit rotate`: norms are kept, turns undone, labels reached; bad input is one sentence."""

import json
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

import latentry as lt
from latentry.cli import main
from latentry.latent.basis_files import load_basis, save_basis
from latentry.latent.inverse import fit_inverse
from latentry.latent.inverse_files import save_inverse
from latentry.latent.operators import rotate
from latentry.latent.settings import InverseSettings
from latentry.latent.spectral import quasi_eigenvectors
from latentry.models.pretrained import save_network
from latentry.networks import DCGANGenerator
from latentry.priors import Normal
from latentry.storage import read_json, read_tensors
from latentry.tasks.edit.report import film
from latentry.tasks.edit.rotate import Turn, parse_turns

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")  # of torch itself


def run(*arguments: object) -> int:
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as left:
        return int(left.code or 0)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the shipped generator a quick inverse and a rough basis; another generator in `other`."""
    folder = tmp_path_factory.mktemp("edit")
    shipped, guide = lt.load_model("digits-generator"), lt.load_model("digits-guide")
    assert isinstance(shipped.prior, Normal)
    quick = fit_inverse(
        shipped.generator, shipped.prior, InverseSettings(steps=20, batch_size=16, width=4, checkpoint_every=20)
    )
    save_inverse(folder / "inverse", quick)
    save_basis(folder / "basis", quasi_eigenvectors(shipped.generator, guide.network, shipped.prior, per_label=40))
    torch.manual_seed(1)
    save_network(folder / "other", DCGANGenerator(64, width=4).eval(), Normal(64), {})
    return folder


def edit(verb: str, place: Path, out: Path, *extra: object, count: int = 4) -> int:
    images = ["--data=digits", "--count", count, "--encode", "--inverse", place / "inverse"]
    basis = ["--basis", place / "basis"] if verb == "rotate" else []
    return run("edit", verb, *images, *basis, "--per_label=60", "--device=cpu", "--out", out, *extra)


def codes(out: Path) -> tuple[Tensor, Tensor]:
    found = read_tensors(out / "codes.safetensors")
    return found["z"], found["z_edited"]


def test_turns_are_made_in_order_in_the_planes_of_the_labels(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert edit("rotate", place, tmp_path, "--turns=3:8:60,8:1:-90") == 0
    (z, z_edited), basis = codes(tmp_path), load_basis(place / "basis")
    by_hand = rotate(rotate(z, basis.plane(3, 8), math.pi / 3), basis.plane(8, 1), -math.pi / 2)
    assert_close(z_edited, by_hand)
    assert_close(z_edited.norm(dim=1), z.norm(dim=1))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "after.png",
        "codes.safetensors",
        "index.html",
        "results.json",
    ]
    result = read_json(tmp_path / "results.json")["result"]
    assert result["success"] is None
    assert result["prior_kept"]["norm_error"] < 1e-5
    assert [row["image"] for row in result["images"]] == [f"digits/held-out {row}" for row in range(4)]
    cosine = torch.cosine_similarity(z, z_edited)
    assert_close(torch.tensor([row["degrees"] for row in result["images"]]), cosine.acos().rad2deg(), atol=0.05, rtol=0)
    page = (tmp_path / "index.html").read_text()
    assert page.index("<img") < page.index("<table>")
    assert page.count("data:image/png;base64,") == 2
    assert "3 towards 8 by 60 degrees, 8 towards 1 by -90 degrees" in page
    told = " ".join(capsys.readouterr().out.split())
    assert "Not evaluated: the codes do not make the images again" in told  # of so quick an inverse


def test_no_angle_changes_nothing_and_there_and_back_is_the_identity(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert edit("rotate", place, tmp_path / "none", "--turns=3:8:0", "--json", count=2) == 0
    result = json.loads(capsys.readouterr().out)["result"]
    assert result["changed"]["value"] == 0
    assert all(row["degrees"] == 0 for row in result["images"])
    assert torch.equal(*codes(tmp_path / "none"))
    assert edit("rotate", place, tmp_path / "back", "--turns=3:8:60,8:3:60", count=2) == 0
    assert_close(*codes(tmp_path / "back"), atol=1e-5, rtol=1e-5)


def test_a_label_is_reached_by_rotation_and_a_second_classifier_reads_it(place: Path, tmp_path: Path) -> None:
    assert (
        edit("label", place, tmp_path, "--label=8", "--margin=6", "--evaluation_classifier=digits-evaluator", count=16) == 0
    )
    z, z_edited = codes(tmp_path)
    result = read_json(tmp_path / "results.json")["result"]
    assert result["target_label"]["trials"] == 16
    assert result["target_label"]["value"] > 0.7
    assert result["target_label"]["value"] == sum(row["label_after"] == "8" for row in result["images"]) / 16
    assert result["success"] is None  # the codes of so quick an inverse are not those of the images
    assert "digits-evaluator" in result["evaluation"]["classifier"]
    assert set(result["identity"]) == {"thickness", "slant", "size"}
    assert_close(z_edited.norm(dim=1), z.norm(dim=1))


def test_a_film_goes_through_one_operator_after_the_other() -> None:
    z, plane = torch.tensor([[1.0, 0.0, 0.0]]), torch.eye(3)[:2]

    def quarter(z: Tensor, share: float) -> Tensor:
        return rotate(z, plane, share * math.pi / 2)

    def away(z: Tensor, share: float) -> Tensor:
        return z + share * torch.tensor([0.0, 0.0, 4.0])

    pictures = film([quarter, away], z, 5)[:, 0]
    half = math.sqrt(0.5)
    assert_close(pictures, torch.tensor([[1, 0, 0], [half, half, 0], [0, 1, 0], [0, 1, 2], [0, 1, 4]]))


def test_turns_are_read_as_they_are_written() -> None:
    assert parse_turns("3:8:60, 8:1:-22.5") == (Turn("3", "8", 60.0), Turn("8", "1", -22.5))


GIVEN = ["--data=digits", "--count=2", "--encode", "--inverse={place}/inverse"]
LABEL = ["label", *GIVEN]
ROTATE = ["rotate", *GIVEN, "--basis={place}/basis"]
BAD = [
    ([*LABEL], "expected a value of --label, got none; `latentry edit label --help`"),
    ([*ROTATE], "expected a value of --turns, got none; `latentry edit rotate --help`"),
    (
        ["photo.png", "--label=3"],
        "expected one of `edit label`, `edit rotate`, `edit swap`, `edit hide`, `edit features`",
    ),
    (["rotate", "--turns=3:8:60"], "expected images to edit, got none"),
    (["label", "--label=3"], "expected images to edit, got none"),
    ([*ROTATE, "--turns="], "such as 3:8:60,8:1:90, got ''"),
    ([*ROTATE, "--turns=3:8"], "got '3:8'"),
    ([*ROTATE, "--turns=3:8:60,"], "got ''"),
    ([*ROTATE, "--turns=a:8:60"], "expected --turns with a class of the basis, got 'a'; it has 0, 1, 2, 3"),
    ([*ROTATE, "--turns=:8:60"], "got ':8:60'"),
    ([*ROTATE, "--turns=3:3:60"], "two different labels"),
    ([*ROTATE, "--turns=3:8:inf"], "a finite angle"),
    ([*ROTATE, "--turns=3:12:60"], "expected --turns with a class of the basis, got '12'; it has 0, 1"),
    ([*ROTATE, "--turns=3:8:60", "--frames=1"], "--frames of at least 2"),
    ([*ROTATE, "--turns=3:8:60", "--margin=2"], "--margin"),
    ([*ROTATE, "--turns=3:8:60", "--kind=fisher"], "along with --kind, which would change nothing"),
    ([*LABEL, "--label=10"], "expected --label with a class of the classifier, got '10'; it has 0, 1"),
    ([*LABEL, "--label=1", "--frames=1"], "--frames of at least 2"),
    ([*LABEL, "--label=1", "--margin=.inf"], "expected margin to be finite, got inf"),
    (["rotate", "--codes={place}", "--encode", "--turns=3:8:60"], "along with --encode, which would change nothing"),
    ([*ROTATE, "--turns=3:8:60", "--generator={place}/other"], "find a basis of this one"),
    (["rotate", "--codes={place}/none", "--basis={place}/basis", "--turns=3:8:60"], "{place}/none"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_input_ends_with_one_sentence(
    arguments: list[str], message: str, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = [argument.format(place=place) for argument in arguments]
    assert run("edit", *told, "--device=cpu", "--out", tmp_path) == 2
    said = capsys.readouterr().err
    assert message.format(place=place) in said
    assert "Traceback" not in said
    assert not list(tmp_path.iterdir())


def test_labels_to_turn_are_known_before_codes_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def never(*arguments: object) -> None:
        raise AssertionError("codes were drawn")

    monkeypatch.setattr("latentry.tasks.edit.rotate.made_basis", never)
    assert run("edit", "rotate", "--data=digits", "--count=2", "--turns=0:99:30", "--device=cpu", "--out", tmp_path) == 2
    assert "expected --turns with a class of the basis, got '99'" in capsys.readouterr().err
