"""`latentry train encoder`: what the function gives, for other verbs to take, exact resume, one sentence for bad input."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from latentry.cli import main
from latentry.data.images import from_pixels
from latentry.data.sources import load_dataset
from latentry.latent.encoding import fit_encoder
from latentry.latent.inverse import fit_inverse
from latentry.latent.inverse_files import load_inverse, save_inverse
from latentry.latent.settings import EncoderSettings, InverseSettings
from latentry.latent.spectral import basis_from_codes, load_basis, save_basis
from latentry.models.pretrained import load_network, save_network
from latentry.networks import DCGANGenerator, PlainClassifier
from latentry.priors import Normal
from latentry.storage import read_json, read_tensors
from latentry.tasks.coding.codes import code_source, coded_images
from latentry.tasks.coding.settings import CodedImagesSettings
from latentry.tasks.train_encoder import Jitter, even_sample, label_scores

LABELS, D = 3, 8
TINY: dict[str, Any] = {"steps": 4, "batch_size": 8, "width": 2, "checkpoint_every": 2}


def run(*arguments: object) -> int:
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as left:
        return int(left.code or 0)


def images(path: Path, labels: int = LABELS, channels: int = 1, side: int = 28) -> None:
    """Noise in three splits."""
    pixels = np.random.default_rng(0).integers(0, 256, (90, side, side, channels), dtype=np.uint8)
    np.savez(path, x=pixels, y=np.arange(90) % labels)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two generators, classifiers, an inverse and a basis of the first, and data that suit them or not."""
    folder = tmp_path_factory.mktemp("encoder")
    for seed, name in enumerate(("generator", "other")):
        torch.manual_seed(seed)
        save_network(folder / name, DCGANGenerator(D, width=2).eval(), Normal(D), {})
    save_network(folder / "classifier", PlainClassifier(LABELS, width=2), None, {})
    save_network(folder / "colour", PlainClassifier(LABELS, channels=3, width=2), None, {})
    generator = load_network(folder / "generator").network
    save_inverse(folder / "inverse", fit_inverse(generator, Normal(D), InverseSettings(**{**TINY, "width": 3})))
    z = Normal(D).sample(60, rng=torch.Generator().manual_seed(2))
    basis = basis_from_codes(z, torch.arange(60) % LABELS, generator=generator)
    save_basis(folder / "basis", basis)
    images(folder / "few.npz")
    images(folder / "many.npz", labels=5)
    images(folder / "small.npz", side=20)
    with np.load(folder / "few.npz") as few:
        np.savez(folder / "named.npz", **few, class_names=["one", "three", "two"])
    images(folder / "painted.npz", channels=3)
    return folder


def command(place: Path, *more: object) -> list[object]:
    """A tiny training on the tiny set."""
    tiny = [f"--{name}={value}" for name, value in TINY.items()]
    ours = [f"--generator={place / 'generator'}", f"--classifier={place / 'classifier'}", f"--data={place / 'few.npz'}"]
    return ["train", "encoder", *ours, *tiny, "--device=cpu", *more]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return read_tensors(folder / "inverse.safetensors")


def test_the_verb_does_what_the_function_does_and_writes_what_the_record_says(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--basis", place / "basis", "--inverse", place / "inverse", "--seed=4"]
    assert run(*command(place, *given, "--out", tmp_path)) == 0
    said = capsys.readouterr().out
    for row in ("pixel MSE", "label of G(E(x))", f"label the largest of {D} coefficients", "mean square", "seconds"):
        assert row in said
    assert {"pairs.png", "results.json", "inverse.json", "course.json"} <= {path.name for path in tmp_path.iterdir()}

    model = load_network(place / "generator")
    encoder = load_inverse(tmp_path, model.network)
    result = read_json(tmp_path / "results.json")["result"]
    assert encoder.report.data is not None
    assert result["data"] == vars(encoder.report.data)
    assert result["data"]["held_back"]
    assert [step for step, _ in result["course"]] == [2, 4]

    data = load_dataset(place / "few.npz")
    train, validation = data.split("train"), data.split("validation")
    same = fit_encoder(
        model.network,
        train.images(),
        Normal(D),
        EncoderSettings(**TINY),
        y=train.labels,
        classifier=load_network(place / "classifier").network,
        start=load_inverse(place / "inverse"),
        validation=(validation.images(), validation.labels),
        rng=torch.Generator().manual_seed(4),
        scores=label_scores(load_basis(place / "basis")),
        augment=Jitter(degrees=6.0, scale=0.06, shift=0.03),
    )
    x = from_pixels(torch.randint(0, 256, (5, 1, 28, 28), dtype=torch.uint8))
    assert_close(encoder(x), same(x))
    assert encoder(x).shape == (5, D)


def test_other_verbs_encode_with_it(place: Path, tmp_path: Path) -> None:
    assert run(*command(place, "--out", tmp_path / "encoder")) == 0
    assert weights(tmp_path / "encoder").keys() == weights(place / "inverse").keys()
    ours = ["--generator", place / "generator", "--data", place / "few.npz", "--inverse", tmp_path / "encoder"]
    given = {"data": str(place / "few.npz"), "inverse": str(tmp_path / "encoder"), "count": 4}
    model = load_network(place / "generator")
    settings = CodedImagesSettings(out="", encode=True, **given)
    source = code_source(settings, 1, 28)
    assert source is not None
    coded = coded_images(source, model.network, Normal(D), rng=torch.Generator())  # decompose and edit
    assert_close(coded.z, load_inverse(tmp_path / "encoder")(coded.x))
    recovery = ["--solver=adam", "--steps=1", "--restarts=1", "--self_check=0", "--device=cpu"]
    assert run("recover", *ours, *recovery, "--out", tmp_path / "recovered") == 0


def test_a_variational_one_without_classifier_and_basis_knows_no_labels(place: Path, tmp_path: Path) -> None:
    alone = ["--classifier=null", "--jitter=false", "--variational=true", "--difference=hinge"]
    assert run(*command(place, *alone, "--out", tmp_path)) == 0
    encoder = load_inverse(tmp_path, load_network(place / "generator").network)
    assert encoder.variational
    assert encoder.report.data is not None
    assert (encoder.report.data.agreement, encoder.report.data.spectral_agreement) == (None, None)


def killed_at(stop: int) -> Callable[..., Any]:
    """A progress bar during which the user loses patience."""

    @contextmanager
    def bar(*, quiet: bool) -> Iterator[Callable[[str], Callable[[int, int], None]]]:
        def progress(done: int, total: int) -> None:
            if done == stop:
                raise KeyboardInterrupt

        yield lambda description: progress

    return bar


def test_a_training_that_was_killed_goes_on_to_the_same_weights_and_with_no_other_settings(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, broken = ([*command(place), "--out", tmp_path / name] for name in ("whole", "broken"))
    assert run(*whole) == 0
    with monkeypatch.context() as patched:
        patched.setattr("latentry.tasks.train_encoder.progress_bar", killed_at(3))
        assert run(*broken) == 130
    assert not (tmp_path / "broken" / "results.json").exists()
    for other, name in (("--degrees=7", "augmented"), ("--count=50", "data")):
        assert run(*broken, other) == 2
        assert f"other settings ({name})" in capsys.readouterr().err
    assert run(*broken) == 0
    first, second = (weights(tmp_path / name) for name in ("whole", "broken"))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_labels_are_those_of_the_classifier_where_the_data_have_attributes_alone(place: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (90, 28, 28), dtype=np.uint8)
    np.savez(tmp_path / "signed.npz", x=pixels, attributes=np.ones((90, 1), dtype=np.int64))
    told = ["--data", tmp_path / "signed.npz", "--basis", place / "basis"]
    assert run(*command(place, *told, "--out", tmp_path / "out")) == 0
    assert read_json(tmp_path / "out" / "results.json")["result"]["data"]["spectral_agreement"] is not None


def test_no_class_is_left_out_of_a_smaller_share_of_images_in_order_of_their_class(place: Path, tmp_path: Path) -> None:
    """The first 60 of these would hold two of three classes."""
    pixels = np.zeros((270, 28, 28), dtype=np.uint8)
    np.savez(tmp_path / "ordered.npz", x=pixels, y=np.arange(270) // 90)
    data = load_dataset(tmp_path / "ordered.npz").split("train")
    assert set(even_sample(data, 60).labels.tolist()) == {0, 1, 2}
    assert even_sample(data, 1000).items.equal(data.items)


def test_scores_are_coefficients_of_sharpness_four(place: Path) -> None:
    basis = load_basis(place / "basis")
    assert_close(label_scores(basis)(basis.vectors + basis.offset), 4 * D**0.5 * torch.eye(D), atol=1e-4, rtol=0)


BAD = [
    (["--data={place}/many.npz"], "a classifier of the classes of many, 0, 1, 2, 3, 4, got one of 0, 1, 2; pass another"),
    (
        ["--data={place}/many.npz", "--classifier=null", "--basis={place}/basis"],
        "a basis of the classes of many in their order, 0, 1, 2, 3, 4, got one of 0, 1, 2; pass",
    ),
    (["--data={place}/named.npz"], "a classifier of the classes of named, one, three, two, got one of 0, 1, 2"),
    (["--generator={place}/other", "--basis={place}/basis"], "find a basis of this one"),
    (["--generator={place}/other", "--inverse={place}/inverse"], "fit an inverse of this one"),
    (["--data={place}/small.npz"], "--image_size=28 --channels=1"),
    (["--data={place}/painted.npz"], "--image_size=28 --channels=1"),
    (["--classifier={place}/colour"], "got one that refuses them"),
    (["--classifier={place}/generator"], "expected a classifier"),
    (["--generator={place}/classifier"], "is a classifier"),
    (["--data={place}/none"], "{place}/none"),
    (["--basis={place}/none"], "{place}/none"),
    (["--batch_size=1"], "batch_size >= 2"),
    (["--batch_size=80"], "lower batch_size"),
    (["--count=0"], "--count of at least 1"),
    (["--degrees=90"], "--jitter=false"),
    (["--score_weight=-1"], "weights >= 0"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_input_ends_with_one_sentence(
    arguments: list[str], message: str, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = [argument.format(place=place) for argument in arguments]
    assert run(*command(place, *told, "--out", tmp_path)) == 2
    said = capsys.readouterr().err
    assert message.format(place=place) in said
    assert "Traceback" not in said
    assert not list(tmp_path.iterdir())


def test_images_of_another_size_are_converted_when_asked(place: Path, tmp_path: Path) -> None:
    converted = [f"--data={place / 'painted.npz'}", "--image_size=28", "--channels=1"]
    assert run(*command(place, *converted, "--out", tmp_path)) == 0


def test_jitter_keeps_images_whose_extent_is_nothing() -> None:
    x = torch.rand(4, 1, 28, 28)
    rng = torch.Generator().manual_seed(0)
    assert_close(Jitter(0.0, 0.0, 0.0)(x, rng), x, atol=1e-4, rtol=0)
    assert (Jitter(6.0, 0.06, 0.03)(x, rng) - x).abs().max() > 0.1
