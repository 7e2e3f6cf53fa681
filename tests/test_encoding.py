"""Encoders of data whose best code is known, what each term of the loss brings, runs that are stopped, and misuse."""

import dataclasses
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from latentry.latent.encoding import fit_encoder
from latentry.latent.inverse import Inverse, fit_inverse
from latentry.latent.inverse_files import load_inverse, save_inverse
from latentry.latent.settings import EncoderSettings, InverseSettings, Reconstruction
from latentry.networks import DCGANGenerator
from latentry.priors import Normal, Uniform

D, PIXELS = 6, 14
TINY: dict[str, Any] = {"steps": 6, "batch_size": 8, "width": 1, "checkpoint_every": 2}
SHORT: dict[str, Any] = {"steps": 150, "batch_size": 64, "width": 1, "learning_rate": 2e-2, "checkpoint_every": 150}


def tiny(**more: Any) -> EncoderSettings:
    return EncoderSettings(**{**TINY, **more})


def short(**more: Any) -> EncoderSettings:
    return EncoderSettings(**{**SHORT, **more})


def parted(arguments: dict[str, Any]) -> tuple[EncoderSettings, dict[str, Any]]:
    """Settings among arguments, and the others."""
    names = {field.name for field in dataclasses.fields(EncoderSettings)}
    others = {name: value for name, value in arguments.items() if name not in names}
    return tiny(**{name: value for name, value in arguments.items() if name in names}), others


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def matrix(rows: int = PIXELS, columns: int = D) -> Tensor:
    return torch.randn(rows, columns, generator=seeded(5)) / math.sqrt(columns)


def linear(z: Tensor) -> Tensor:
    return z @ matrix().to(z).mT


def drawn(n: int, seed: int = 8) -> Tensor:
    return linear(Normal(D).sample(n, rng=seeded(seed)))


def along_a_line(z: Tensor) -> Tensor:
    """Points of the plane on its first axis."""
    return torch.cat([z, 0 * z], 1)


def side_of(x: Tensor) -> Tensor:
    """Logits of the two sides of the second axis."""
    return torch.stack([-10 * x[:, 0], 10 * x[:, 0]], 1)


def points(n: int = 512) -> tuple[Tensor, Tensor]:
    """Points on two lines beside the first axis, labelled by their line: of that `along_a_line` shows nothing."""
    y = torch.arange(n) % 2
    return torch.stack([0.3 * torch.randn(n, generator=seeded()), 2.0 * y - 1], 1), y


class KilledError(Exception):
    """As if the process had been killed."""


def test_the_encoder_of_data_of_a_linear_generator_is_its_pseudo_inverse() -> None:
    """Also of data beside its range: the code is that of the nearest point."""
    x = drawn(2000) + 0.3 * torch.randn(2000, PIXELS, generator=seeded(1))
    encoder = fit_encoder(linear, x, Normal(D), short(steps=300, prior_weight=0.0), rng=seeded())
    fresh = drawn(500, seed=9) + 0.3 * torch.randn(500, PIXELS, generator=seeded(2))
    nearest = fresh @ torch.linalg.pinv(matrix()).mT
    assert (encoder(fresh) - nearest).square().mean() < 0.02 * nearest.square().mean()
    least = (linear(nearest) - fresh).square().mean().item()
    assert (linear(encoder(fresh)) - fresh).square().mean().item() == pytest.approx(least, rel=0.1)


def test_the_report_is_of_data_held_back() -> None:
    x, held_back = drawn(500), drawn(700, seed=9)
    found = fit_encoder(linear, x, Normal(D), tiny(), validation=(held_back, None), rng=seeded())
    report = found.report.data
    assert report is not None
    assert report.held_back
    z = found(held_back)
    assert report.reconstruction_error == pytest.approx((linear(z) - held_back).square().mean().item(), rel=1e-4)
    assert report.mean_square == pytest.approx(z.square().mean().item(), rel=1e-4)
    assert report.agreement is report.spectral_agreement is None
    assert [step for step, _ in found.report.course] == [2, 4, 6]
    assert found.report.course[-1][1] == found.report.code_error


@pytest.mark.parametrize("labels", ["given", "the classifier's"])
def test_the_classifier_brings_back_labels_that_the_nearest_image_loses(labels: str) -> None:
    x, y = points()
    classifier: Callable[[Tensor], Tensor] = side_of
    if labels == "the classifier's":  # it also reads the second axis, of which G says nothing
        y_given, classifier = None, lambda x: side_of(x[:, :1] + 5 * x[:, 1:])
    else:
        y_given = y
    without = fit_encoder(
        along_a_line, x, Normal(1), short(class_weight=0.0), y=y_given, classifier=classifier, rng=seeded()
    )
    with_it = fit_encoder(
        along_a_line, x, Normal(1), short(class_weight=1.0), y=y_given, classifier=classifier, rng=seeded()
    )
    assert without.report.data is not None
    assert with_it.report.data is not None
    assert without.report.data.agreement == pytest.approx(0.5, abs=0.1)
    assert with_it.report.data.agreement == 1.0
    assert with_it.report.data.reconstruction_error > without.report.data.reconstruction_error  # what it costs


def test_scores_make_the_labels_row_the_largest() -> None:
    """The first two coordinates of four are the labels', the generator shows the others alone."""
    x, y = points()
    rows = torch.eye(4)

    def scores(z: Tensor) -> Tensor:
        return 4 * z @ rows.mT

    found = fit_encoder(lambda z: z[:, 2:], x, Normal(4), short(), y=y, scores=scores, rng=seeded())
    assert found.report.data is not None
    assert found.report.data.agreement is None
    assert found.report.data.spectral_agreement == (scores(found(x)).argmax(1) == y).float().mean().item() == 1.0
    assert found.report.data.reconstruction_error < 0.2  # of 1


def test_codes_together_have_the_priors_moments() -> None:
    """The generator halves its codes, so that the data alone would ask for a deviation of 2 and a mean of 2."""
    x = 1 + torch.randn(2000, D, generator=seeded())
    prior = Normal(D)
    free = fit_encoder(lambda z: z / 2, x, prior, short(prior_weight=0.0), rng=seeded())(x)
    held = fit_encoder(lambda z: z / 2, x, prior, short(prior_weight=100.0), rng=seeded())(x)
    assert free.mean().item() == pytest.approx(2, abs=0.2)
    assert held.mean().item() == pytest.approx(0, abs=0.2)
    assert free.std(0).mean().item() == pytest.approx(2, abs=0.2)
    assert held.std(0).mean().item() == pytest.approx(1, abs=0.15)


def test_codes_are_in_the_scale_and_the_support_of_the_prior() -> None:
    prior = Uniform(D, 2.0, 3.0)
    x = prior.sample(1000, rng=seeded()) * 10
    z = fit_encoder(lambda z: 10 * z, x, prior, short(prior_weight=0.0), rng=seeded())(x)
    assert 2 <= z.min() <= z.max() <= 3
    assert (z - x / 10).abs().mean() < 0.05


def test_the_distribution_of_a_code_is_the_prior_where_the_data_say_nothing() -> None:
    x = torch.randn(1000, D, generator=seeded())
    found = fit_encoder(lambda z: 0 * z, x, Normal(D), short(variational=True, prior_weight=1.0), rng=seeded())
    assert found.variational
    assert found(x).square().mean() < 0.05
    assert found.sample(x, rng=seeded()).std().item() == pytest.approx(1, abs=0.1)


def test_the_distribution_of_a_code_is_the_posterior() -> None:
    """For x = z and a mean of squares over d elements, weight c: the deviation that is best is sqrt(c / (c + 2))."""
    x = torch.randn(2000, D, generator=seeded())
    weight = 0.5
    found = fit_encoder(lambda z: z, x, Normal(D), short(variational=True, prior_weight=weight), rng=seeded())
    noise = found.sample(x, rng=seeded()) - found(x)
    assert noise.std().item() == pytest.approx(math.sqrt(weight / (weight + 2)), rel=0.15)
    assert found.sample(x, rng=seeded(1)).equal(found.sample(x, rng=seeded(1)))


@pytest.mark.parametrize("difference", ["l1", "hinge"])
def test_the_other_differences_bring_the_image_back_too(difference: Reconstruction) -> None:
    """Of points of -1 and 1 the hinge asks for the sign alone."""
    x = torch.randn(1000, D, generator=seeded()).sign()
    found = fit_encoder(lambda z: z.tanh(), x, Normal(D), short(difference=difference), rng=seeded())
    assert (found(x).sign() == x).float().mean() > 0.99


@pytest.mark.parametrize("variational", [False, True])
def test_a_start_is_where_the_encoder_begins(variational: bool) -> None:
    start = fit_inverse(linear, Normal(D), InverseSettings(**{**SHORT, "width": 2}), rng=seeded())
    still = {**TINY, "steps": 1, "learning_rate": 1e-9}
    x = drawn(500)
    begun = fit_encoder(linear, x, Normal(D), EncoderSettings(**still, variational=variational), start=start, rng=seeded())
    assert_close(begun(x), start(x), atol=0.1, rtol=0)
    assert (fit_encoder(linear, x, Normal(D), EncoderSettings(**still), rng=seeded())(x) - start(x)).square().mean() > 0.3


def test_a_run_that_was_stopped_ends_as_one_that_was_not(tmp_path: Path) -> None:
    x, y = points(64)

    def fit(folder: Path, stop_after: int | None, seed: int) -> Inverse:
        def progress(done: int, total: int) -> None:
            if done == stop_after:
                raise KilledError

        return fit_encoder(
            along_a_line,
            x,
            Normal(1),
            tiny(variational=True),
            y=y,
            classifier=side_of,
            augment=lambda x, rng: x + 0.1 * torch.randn(x.shape, generator=rng),
            rng=seeded(seed),
            progress=progress,
            checkpoint=folder,
        )

    whole = fit(tmp_path / "whole", None, 1)
    with pytest.raises(KilledError):
        fit(tmp_path / "stopped", 5, 1)
    stopped = fit(tmp_path / "stopped", None, 1)
    for name, value in whole.encoder.state_dict().items():
        assert torch.equal(value, stopped.encoder.state_dict()[name])
    assert whole.report.course == stopped.report.course
    assert whole.report.data == stopped.report.data


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"class_weight": 2.0}, "class_weight"),
        ({"classifier": lambda x: -side_of(x)}, "classifier"),
        ({"y": torch.ones(64, dtype=torch.int64)}, "data"),
        ({"variational": True}, "variational"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_checkpoints_of_another_run_are_refused(tmp_path: Path, changed: dict[str, Any], name: str) -> None:
    x, y = points(64)
    known: dict[str, Any] = {"y": y, "classifier": side_of}
    fit_encoder(along_a_line, x, Normal(1), tiny(), **known, checkpoint=tmp_path)
    settings, others = parted({**known, **changed})
    with pytest.raises(ValueError, match=rf"other settings \({name}\)"):
        fit_encoder(along_a_line, x, Normal(1), settings, **others, checkpoint=tmp_path)


@pytest.mark.parametrize("variational", [False, True])
def test_a_saved_encoder_comes_back(tmp_path: Path, variational: bool) -> None:
    torch.manual_seed(1)
    generator = DCGANGenerator(D, width=1)
    x = torch.rand(40, 1, 28, 28, generator=seeded()) * 2 - 1
    found = fit_encoder(generator, x, Normal(D), tiny(variational=variational), rng=seeded())
    save_inverse(tmp_path, found)
    loaded = load_inverse(tmp_path, generator)
    assert loaded.variational == variational
    assert loaded.report == found.report
    assert_close(loaded(x), found(x))
    if variational:
        assert_close(loaded.sample(x, rng=seeded()), found.sample(x, rng=seeded()))
    assert generator.training
    assert all(parameter.requires_grad for parameter in generator.parameters())


def test_one_code_is_no_distribution() -> None:
    with pytest.raises(ValueError, match="expected a variational encoder"):
        fit_encoder(linear, drawn(20), Normal(D), tiny()).sample(drawn(3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 1}, "batch_size >= 2"),
        ({"learning_rate": math.inf}, "learning_rate > 0"),
        ({"class_weight": -1.0}, "weights >= 0"),
        ({"prior_weight": math.nan}, "weights >= 0"),
        ({"steps": 0}, "steps >= 1"),
        ({"y": torch.zeros(20, dtype=torch.int64)}, "classifier or scores along with labels"),
        ({"scores": lambda z: z}, "labels for the scores"),
        ({"classifier": side_of, "y": torch.full((20,), 2)}, r"label from 0 to 1 .* from 2 to 2"),
        ({"classifier": side_of, "y": torch.zeros(19, dtype=torch.int64)}, r"each of 20 data.*\(19,\)"),
        ({"classifier": side_of, "y": torch.zeros(20)}, "float32"),
        ({"classifier": lambda x: x.sum()}, r"classifier to give \(3, k\) logits"),
        ({"difference": "hinge"}, r"data in \[-1, 1\] for the hinge"),
        ({"validation": (torch.zeros(2, 3), None)}, r"\(n, 14\) .* \(2, 3\)"),
        ({"validation": (torch.zeros(0, PIXELS), None)}, "at least one"),
    ],
)
def test_misuse_is_named(arguments: dict[str, Any], message: str) -> None:
    def misuse() -> None:
        settings, others = parted(arguments)
        fit_encoder(linear, 3 * drawn(20), Normal(D), settings, **others)

    with pytest.raises(ValueError, match=message):
        misuse()


def test_an_unknown_difference_is_named_where_no_checker_of_types_runs() -> None:
    code = "import latentry; latentry.settings.EncoderSettings(difference='l3')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ValueError: expected one of ('l2', 'l1', 'hinge') as difference, got 'l3'" in done.stderr


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(20, 13), r"\(n, 14\) .* \(20, 13\)"),
        (torch.full((20, PIXELS), math.nan), "NaN"),
        (torch.zeros(20, PIXELS, dtype=torch.uint8), "uint8"),
        (torch.zeros(7, PIXELS), "at least one batch of 8"),
    ],
)
def test_data_that_do_not_fit_are_named(x: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_encoder(linear, x, Normal(D), tiny())


def test_a_start_from_another_generator_is_refused() -> None:
    torch.manual_seed(1)
    generator, other = DCGANGenerator(D, width=1), DCGANGenerator(D, width=1)
    start = fit_inverse(other, Normal(D), InverseSettings(**TINY))
    x = torch.zeros(20, 1, 28, 28)
    with pytest.raises(ValueError, match="start fitted to the generator with weights"):
        fit_encoder(generator, x, Normal(D), tiny(), start=start)
    with pytest.raises(ValueError, match=r"start from data of shape \(14,\)"):
        fit_encoder(linear, drawn(20), Normal(D), tiny(), start=start)
