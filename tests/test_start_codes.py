"""Encoders of every kind as starts of a recovery, and an inverse as one of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

import latentry as lt
from latentry.latent.start_codes import start_codes
from latentry.storage import read_json, write_json

MATRIX = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
BACK = torch.linalg.pinv(MATRIX)


def generator(z: Tensor) -> Tensor:
    return z @ MATRIX.to(z)


KINDS: dict[str, Callable[[Tensor], Any]] = {
    "codes": lambda x: x @ BACK,
    "mean and logvar": lambda x: (x @ BACK, torch.zeros(len(x), 3)),
    "list": lambda x: [x @ BACK, torch.zeros(len(x), 3)],
    "distribution": lambda x: torch.distributions.Normal(x @ BACK, 0.1),
    "posterior of ours": lambda x: lt.priors.DiagonalNormal(x @ BACK, torch.ones(len(x), 3)),
    "independent": lambda x: torch.distributions.Independent(torch.distributions.Laplace(x @ BACK, 1.0), 1),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_encoder_starts_at_its_mean(kind: str, rng: torch.Generator) -> None:
    z = torch.randn(300, 3, generator=rng)
    assert_close(start_codes(KINDS[kind], generator(z), 3), z, rtol=1e-4, atol=1e-4)
    found = lt.recover_codes(generator, generator(z[:2]), lt.priors.Normal(3), start=KINDS[kind], restarts=2, progress=None)
    assert (found.restart == 0).all()
    assert found.met.all()


def test_a_module_is_held_in_eval_mode_while_it_starts() -> None:
    encoder = nn.Sequential(nn.Dropout(0.9), nn.Linear(8, 3)).train()
    first, second = (start_codes(encoder, torch.ones(2, 8), 3) for _ in range(2))
    assert_close(first, second, rtol=0, atol=0)
    assert encoder.training


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (lambda x: x, r"expected finite starts of shape \(2, 3\)"),
        (lambda x: x[:1] @ BACK, r"got \(1, 3\)"),
        (lambda x: x @ BACK * torch.nan, "NaN or infinity"),
        (lambda x: (x @ BACK, torch.zeros(2)), r"got shapes \(2, 3\) and \(2,\)"),
        (lambda x: {"z": x @ BACK}, "a pair"),
        (lambda x: (x @ BACK, x @ BACK, x @ BACK), "got tuple"),
    ],
)
def test_what_gives_no_code_for_each_datum_is_refused(start: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        lt.recover_codes(generator, generator(torch.ones(2, 3)), lt.priors.Normal(3), start=start, progress=None)


def noisy(x: Tensor, rng: torch.Generator) -> Tensor:
    return x + torch.randn(x.shape, generator=rng)


def test_an_inverse_covers_the_codes_as_often_as_it_says(rng: torch.Generator, tmp_path: Path) -> None:
    settings = lt.settings.InverseSettings(steps=60, batch_size=64, width=8)
    prior = lt.priors.Normal(3, loc=2.0, scale=3.0)
    inverse = lt.fit_inverse(generator, prior, settings, corrupt=noisy, rng=0, progress=False)
    z = prior.sample(1000, rng=rng)
    q = inverse.encode(noisy(generator(z), rng))
    inside = ((z - q.mean).abs() < 1.96 * q.scale).float().mean(0)
    assert ((inside > 0.9) & (inside < 0.99)).all()
    start_of = lt.recover_codes(generator, generator(z[:2]), prior, start=inverse.encode, progress=None)
    assert start_of.met.all()

    lt.encoders.save_inverse(tmp_path, inverse)
    again = lt.encoders.load_inverse(tmp_path)
    assert again.report.element_errors == inverse.report.element_errors
    config = read_json(tmp_path / "inverse.json")
    del config["report"]["element_errors"]
    write_json(tmp_path / "inverse.json", config)
    old = lt.encoders.load_inverse(tmp_path)
    assert_close(old(generator(z[:2])), inverse(generator(z[:2])))
    with pytest.raises(ValueError, match="earlier version"):
        old.encode(generator(z[:2]))
