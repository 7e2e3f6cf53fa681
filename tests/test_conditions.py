"""Conditions go along with the codes: under the condition of another datum, each of these toys would give a wrong answer."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot
from torch.testing import assert_close

import latentry as lt
from latentry.evaluation.monotonicity import monotonicity
from latentry.holding import as_condition, require_generator
from latentry.holding.conditions import Condition, condition_from_named, for_draws, joined, made, named_parts, rows_at
from latentry.latent.known_codes import identifiable_errors
from latentry.latent.posterior_mode import posterior_mode
from latentry.latent.settings import EncoderSettings

D, M, K, N = 3, 8, 4, 13


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class OneMapPerLabel(nn.Module):
    """x = z A_y + b_y, then perhaps tanh: each label has a map of its own, so that a code is right under its label alone."""

    def __init__(self, squashed: bool = False) -> None:
        super().__init__()
        self.maps = nn.Parameter(torch.randn(K, D, M, generator=seeded(1)))
        self.offsets = nn.Embedding(K, M, _weight=torch.randn(K, M, generator=seeded(2)))
        self.squashed = squashed

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        x = torch.einsum("nd,ndm->nm", z, self.maps[y]) + self.offsets(y)
        return torch.tanh(x / 4) if self.squashed else x


TOY = OneMapPerLabel()


def of_one_hot(z: Tensor, c: Tensor) -> Tensor:
    return TOY(z.float(), c.argmax(1)).to(z) * c.sum(1, keepdim=True)


def of_dict(z: Tensor, c: dict[str, Tensor]) -> Tensor:
    assert c["scale"].dtype == z.dtype
    return torch.einsum("nd,ndm->nm", z, TOY.maps.to(z)[c["label"]]) * c["scale"][:, None]


LABELS = torch.randint(K, (N,), generator=seeded(3))
CASES: dict[str, tuple[Callable[..., Any], Any]] = {
    "labels": (TOY, LABELS),
    "before tanh": (OneMapPerLabel(squashed=True), LABELS),
    "one-hot rows": (of_one_hot, one_hot(LABELS, K).float()),
    "a dict": (of_dict, {"label": LABELS, "scale": 1 + torch.rand(N, generator=seeded(4), dtype=torch.float64)}),
    "images": (lambda z, c: z[:, None, :] * c.flatten(1)[:, :, None], torch.randn(N, 1, 2, 4, generator=seeded(5))),
}


@pytest.fixture
def z() -> Tensor:
    return torch.randn(N, D, generator=seeded(6))


# recovery


@pytest.mark.parametrize(
    ("case", "solver"),
    [*((case, "auto") for case in CASES), ("before tanh", lt.solvers.LBFGS(steps=100)), ("labels", lt.solvers.Adam())],
    ids=lambda value: str(value).partition("(")[0],
)
def test_each_code_is_found_under_its_own_condition(case: str, solver: Any, z: Tensor) -> None:
    generator, condition = CASES[case]
    x = made(generator, z, condition, size=4).detach()
    found = lt.recover_codes(
        generator, x, lt.priors.Normal(D), condition=condition, solver=solver, batch_size=5, restarts=3, rng=seeded()
    )
    assert_close(found.z, z, atol=0.02, rtol=0.02)
    assert_close(found.x_hat, x, atol=0.05, rtol=0.05)
    assert_close(named_parts(found.condition), named_parts(condition))
    if solver == "auto":
        assert found.met.all()
        assert (found.undetermined < 1e-6).all()


def test_codes_of_data_in_another_order_are_those_in_that_order(z: Tensor) -> None:
    x, at = made(TOY, z, LABELS, size=N).detach(), torch.randperm(N, generator=seeded(8))
    found = lt.recover_codes(TOY, x[at], lt.priors.Normal(D), condition=LABELS[at], batch_size=3, rng=seeded())
    assert_close(found.z, z[at], atol=1e-3, rtol=1e-3)
    wrong = lt.recover_codes(TOY, x[at], lt.priors.Normal(D), condition=LABELS, batch_size=3, rng=seeded())
    same = LABELS[at] == LABELS
    assert torch.equal(wrong.met, same), "a code is met where its datum happens to have the right label, and nowhere else"


def test_a_condition_goes_along_with_masks_measurements_starts_and_regularizers(z: Tensor) -> None:
    operator = torch.randn(M, 5, generator=seeded(9))
    x = made(TOY, z, LABELS, size=N).detach()
    mask = torch.ones(N, M)
    mask[torch.arange(N), torch.arange(N) % M] = 0
    prior = lt.priors.Normal(D)
    hidden = lt.recover_codes(TOY, x, prior, condition=LABELS, mask=mask, rng=seeded())
    difference = lt.metrics.Difference(operator=lambda x: x @ operator)
    measured = lt.recover_codes(TOY, x @ operator, prior, condition=LABELS, difference=difference, rng=seeded())
    near = lt.recover_codes(TOY, x, prior, condition=LABELS, start=z + 0.1, restarts=1, rng=seeded())
    held = lt.recover_codes(TOY, x, prior, condition=LABELS, regularizer=lt.regularizers.L2(), weight=1e-4, rng=seeded())
    for found in (hidden, measured, near, held):
        assert_close(found.z, z, atol=5e-3, rtol=5e-3)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_conditional_generator_of_any_precision_is_recovered(dtype: torch.dtype, z: Tensor) -> None:
    generator = OneMapPerLabel().to(dtype)
    x = generator(z.to(dtype), LABELS).detach()
    found = lt.recover_codes(generator, x, lt.priors.Normal(D), condition=LABELS, rng=seeded())
    assert found.met.all()
    assert_close(found.z.float(), z, atol=1e-3 if dtype == torch.float64 else 0.05, rtol=0.05)


def test_start_of_a_learned_inverse_is_recovered_from_under_conditions(z: Tensor) -> None:
    settings = lt.settings.InverseSettings(steps=20, batch_size=16, width=2)
    condition = {"label": LABELS}

    def generator(z: Tensor, c: dict[str, Tensor]) -> Tensor:
        return TOY(z, c["label"])

    inverse = lt.fit_inverse(generator, lt.priors.Normal(D), settings, condition=condition, rng=0, progress=False)
    x = generator(z, condition).detach()
    found = lt.recover_codes(generator, x, lt.priors.Normal(D), condition=condition, start=inverse, restarts=2, rng=seeded())
    assert found.met.all()


def test_the_likeliest_code_is_that_under_the_condition_of_its_datum(z: Tensor) -> None:
    x = made(TOY, z, LABELS, size=N).detach()
    found = posterior_mode(
        TOY, x, lt.priors.Normal(D), starts=[z + 0.1], condition=LABELS, scale=1e-3, steps=200, learning_rate=0.02
    )
    assert_close(found, z, atol=0.02, rtol=0.02)


def test_known_codes_are_judged_under_their_own_condition() -> None:
    seen = torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])  # what a datum with this label shows of its code
    z_hat = torch.tensor([[0.0, 0.0, 3.0], [0.0, 0.0, 3.0]])
    errors = identifiable_errors(
        lambda z, y: z * seen.to(z)[y], z_hat, torch.zeros(2, 3), lt.priors.Normal(3), torch.tensor([0, 1])
    )
    assert_close(errors.error, torch.tensor([0.0, 4.5]))


@pytest.mark.parametrize("condition", [LABELS, {"label": LABELS}], ids=["tensor", "dict"])
def test_images_of_a_conditional_generator_are_its_own_under_their_condition_alone(z: Tensor, condition: Any) -> None:
    def generator(z: Tensor, c: Any) -> Tensor:
        return TOY(z, c if isinstance(c, Tensor) else c["label"])

    x = made(generator, z, condition, size=N).detach()
    options: dict[str, Any] = {"calibration": 19, "restarts": 1, "determination": False}
    own = lt.metrics.is_from(generator, x, lt.priors.Normal(D), condition=condition, rng=seeded(), **options)
    other = lt.metrics.is_from(
        generator,
        x,
        lt.priors.Normal(D),
        condition=rows_at(condition, torch.randperm(N, generator=seeded(7))),
        rng=seeded(),
        **options,
    )
    wrong = LABELS[torch.randperm(N, generator=seeded(7))] != LABELS
    assert own.p_value.max() > 0.3
    assert (other.score[wrong] > own.score.max() + 5).all()


# decoding, paths and samples


def test_a_model_decodes_each_code_under_its_condition(z: Tensor) -> None:
    model = lt.GenerativeModel(TOY, lt.priors.Normal(D))
    assert_close(model.decode(z, LABELS, batch_size=4), TOY(z, LABELS).detach())
    assert_close(model.decode(z, LABELS.numpy()), TOY(z, LABELS).detach())
    with pytest.raises(ValueError, match="expected a condition with 13 rows"):
        model.decode(z, LABELS[:3])
    with pytest.raises(ValueError, match="expected the y of each code along with it"):
        model.decode(z)


def only_label(z: Tensor, y: Tensor) -> Tensor:
    """Data that show their condition, beside one element of the code."""
    return torch.stack([y.to(z), z[:, 0] + 10 * y], 1)


@pytest.mark.parametrize("count", [50, 20], ids=["a row a path", "rows drawn"])
def test_paths_keep_one_condition_from_end_to_end(count: int) -> None:
    labels = torch.arange(count) % K
    shown: list[Tensor] = []
    lt.evaluate_paths(
        only_label, lt.priors.Normal(D), condition=labels, count=50, batch_size=7, rng=seeded(),
        metric=lambda x, _: shown.append(x), rules=["lerp", "transport"], t=[0.25, 0.5],
    )  # fmt: skip
    assert len(shown) == 5
    assert all(torch.equal(x[:, 0], shown[0][:, 0]) for x in shown)
    if count == 50:
        assert torch.equal(shown[0][:, 0].long(), labels)
    else:
        assert (torch.bincount(shown[0][:, 0].long(), minlength=K) > 3).all()


@pytest.mark.parametrize("count", [60, 20], ids=["a row a sample", "rows drawn"])
def test_a_sampler_is_called_with_the_conditions_of_its_samples(count: int) -> None:
    labels, seen = torch.arange(count) % K, []

    def sampler(n: int, y: Tensor) -> Tensor:
        assert len(y) == n
        seen.append(y)
        return only_label(torch.randn(n, D, generator=seeded(len(seen))), y)

    reference = only_label(torch.randn(60, D, generator=seeded(90)), torch.arange(60) % K)
    report = lt.evaluate_samples(
        sampler, reference, lambda x: x, condition=labels, count=60, batch_size=25, blocks=2, halves=2, rng=seeded()
    )
    assert [len(y) for y in seen] == [25, 25, 10]
    assert report.frechet_distance.value < 5
    if count == 60:
        assert torch.equal(torch.cat(seen), labels)
    with pytest.raises(ValueError, match="expected a sampler of generated samples along with a condition"):
        lt.evaluate_samples(reference, reference, lambda x: x, condition=labels)


def test_an_attribute_rises_along_each_path_under_its_condition(z: Tensor) -> None:
    signs = 1.0 - 2 * (LABELS % 2)
    found = monotonicity(lambda z, s: z * s[:, None], lambda x: x[:, 0], z, torch.eye(D)[0], condition=signs)
    assert_close(found.spearman, signs.double())


# directions


def test_directions_of_a_layer_are_those_under_the_given_conditions() -> None:
    axes = torch.tensor([[1.0, 9.0, 1.0], [9.0, 1.0, 1.0]])

    def layer(z: Tensor, y: Tensor) -> Tensor:
        return z * axes[y]

    for label, samples in ((0, 400), (1, 100)):  # as many rows as codes, and drawn from them
        basis = lt.directions.activation_directions(
            layer, lt.priors.Normal(D), condition=torch.full((400,), label), samples=samples, batch_size=64, rng=seeded()
        )
        assert basis.vectors[0].abs().argmax() == axes[label].argmax()


def test_labels_of_directions_are_read_off_data_made_under_their_conditions() -> None:
    """Under condition s the sign of what is made is s times that of the code: only conditions tell the label of a code."""
    x = torch.randn(200, D, generator=seeded(1))
    signs = torch.where(torch.arange(200) % 3 == 0, -1.0, 1.0)

    def generator(z: Tensor, s: Tensor) -> Tensor:
        return z * s[:, None]

    basis = lt.quasi_eigenvectors(
        generator, lambda x: 9 * torch.stack([x[:, 0], -x[:, 0]], 1), lt.priors.Normal(D),
        encoder=lambda x: x, x=x * signs[:, None], condition=signs, per_label=60, batch_size=32, rng=seeded(), progress=None,
    )  # fmt: skip
    kept = x[:, 0].sign()  # the label of code x s under condition s is the sign of x
    expected = ((x * signs[:, None]) * torch.where(kept > 0, 1.0, 0.0)[:, None]).sum(0)[0]
    assert basis.label_means[0, 0].sign() == expected.sign()
    alone = lt.quasi_eigenvectors(
        generator, lambda x: 9 * torch.stack([x[:, 0], -x[:, 0]], 1), lt.priors.Normal(D),
        condition=-torch.ones(5), per_label=60, rng=seeded(), progress=None,
    )  # fmt: skip
    assert alone.label_means[0, 0] < -0.5


# encoders


def test_an_encoder_learns_codes_under_the_conditions_of_its_data() -> None:
    """G(z, s) = s z with s = 2 or -2: an encoder that saw a wrong s could not make the data again."""
    rng = seeded(2)
    signs = torch.where(torch.rand(200, generator=rng) < 0.5, -2.0, 2.0)
    x = torch.cat([torch.randn(200, D, generator=rng), signs[:, None]], 1)

    def generator(z: Tensor, s: Tensor) -> Tensor:
        return torch.cat([z * s[:, None], s[:, None]], 1)

    x = generator(x[:, :D], signs)
    settings = EncoderSettings(steps=150, batch_size=64, width=16, prior_weight=0.0)
    encoder = lt.fit_encoder(
        generator,
        x,
        lt.priors.Normal(D),
        settings,
        condition=signs,
        validation=(x[:50], None, signs[:50]),
        rng=0,
        progress=None,
    )
    assert encoder.report.data is not None
    assert encoder.report.data.reconstruction_error < 1.0 < x.var()
    with pytest.raises(ValueError, match="expected a condition of training and of validation data"):
        lt.fit_encoder(generator, x, lt.priors.Normal(D), settings, condition=signs, validation=(x[:50], None), rng=0)


def test_an_inverse_of_a_conditional_generator_is_saved_and_read(tmp_path: Path) -> None:
    settings = lt.settings.InverseSettings(steps=2, batch_size=4, width=2)
    inverse = lt.fit_inverse(TOY, lt.priors.Normal(D), settings, condition=LABELS, rng=0, progress=None)
    lt.encoders.save_inverse(tmp_path, inverse)
    assert lt.encoders.load_inverse(tmp_path, TOY, condition=LABELS).data_shape == (M,)


# generators of others


_CODE = """
import torch

class Conditional(torch.nn.Module):
    latent_dim = 3

    def __init__(self):
        super().__init__()
        self.maps = torch.nn.Parameter(torch.randn(4, 3, 8, generator=torch.Generator().manual_seed(0)))

    def forward(self, z, y):
        return {"x": torch.einsum("nd,ndm->nm", z.flatten(1), self.maps[y])}
"""


def test_a_conditional_generator_of_others_is_loaded_saved_and_recovered(tmp_path: Path, z: Tensor) -> None:
    (tmp_path / "nets.py").write_text(_CODE)
    source = f"{tmp_path / 'nets.py'}:Conditional"
    with pytest.raises(ValueError, match="which takes y along with them; from Python pass condition="):
        lt.load_generator(source)
    loaded = lt.load_generator(source, condition=LABELS)
    lt.save_model(tmp_path / "saved", loaded)
    adapted = lt.as_generator(loaded.generator.original, (D, 1, 1), condition=LABELS)
    for model in (
        loaded,
        lt.load_model(tmp_path / "saved", run_code=True),
        lt.GenerativeModel(adapted, lt.priors.Normal(D)),
    ):
        x = model.decode(z, LABELS)
        found = lt.recover_codes(model.generator, x, model.prior, condition=LABELS, restarts=2, rng=seeded())
        assert_close(found.z, z, atol=1e-3, rtol=1e-3)


def test_the_kit_looks_at_a_generator_under_conditions() -> None:
    assert not lt.testing.check_generator(TOY, lt.priors.Normal(D), condition=LABELS).broken
    first = lt.testing.check_generator(lambda z, y: z * (1 + y[:1, None]), lt.priors.Normal(D), condition=LABELS)
    assert "a row does not depend on its place" in [promise.name for promise in first.broken]


# what is wrong with a condition is said in one sentence


def test_a_condition_with_another_number_of_rows_is_refused(z: Tensor) -> None:
    x = made(TOY, z, LABELS, size=N).detach()
    with pytest.raises(ValueError, match="expected a condition with 13 rows, one for each datum, got 12"):
        lt.recover_codes(TOY, x, lt.priors.Normal(D), condition=LABELS[1:])
    with pytest.raises(ValueError, match="got 13 in label, 2 in age"):
        lt.recover_codes(TOY, x, lt.priors.Normal(D), condition={"label": LABELS, "age": torch.zeros(2)})
    with pytest.raises(ValueError, match="expected a finite condition"):
        as_condition(torch.tensor([1.0, torch.nan]))


def test_a_conditional_generator_without_its_condition_is_refused(z: Tensor) -> None:
    x = made(TOY, z, LABELS, size=N).detach()
    with pytest.raises(ValueError, match=re.escape("expected the y of each code along with it")):
        lt.recover_codes(TOY, x, lt.priors.Normal(D))


def test_a_condition_for_a_generator_that_takes_none_is_refused(z: Tensor) -> None:
    with pytest.raises(ValueError, match="which takes codes alone, got one; leave condition out"):
        lt.recover_codes(nn.Linear(D, M), torch.zeros(N, M), lt.priors.Normal(D), condition=LABELS)


def test_a_condition_of_another_kind_than_the_generator_reads_is_refused(z: Tensor) -> None:
    with pytest.raises(ValueError, match=re.escape("a dict of ['label'], got AttributeError")):
        require_generator(lambda z, c: z * c.flatten(1), z, {"label": LABELS})
    with pytest.raises(ValueError, match="got KeyError: 'age'; pass the condition in the form that it reads"):
        require_generator(lambda z, c: z * c["age"], z, {"label": LABELS})


def test_a_generator_that_does_not_heed_its_condition_is_refused(z: Tensor) -> None:
    with pytest.raises(ValueError, match="expected a generator that heeds its condition"):
        require_generator(lambda z, c: z.exp(), z, LABELS)
    require_generator(lambda z, c: z.exp(), z, torch.zeros(N))  # where all are alike no one can tell


def test_a_generator_that_reads_the_first_condition_for_all_is_refused(z: Tensor) -> None:
    with pytest.raises(ValueError, match="expected each row to depend on its own code and condition"):
        require_generator(lambda z, c: z * c[:1, None], z, 1.0 + torch.arange(N))


# rows


def test_rows_of_draws_are_the_given_ones_or_drawn_from_them() -> None:
    condition: Condition = {"label": torch.arange(5)}
    assert for_draws(condition, 5, None) is condition
    drawn = for_draws(condition, 1000, seeded())["label"]
    assert torch.equal(drawn, for_draws(condition, 1000, seeded())["label"])
    assert torch.bincount(drawn, minlength=5).min() > 150


@pytest.mark.parametrize("condition", [torch.arange(4), {"a": torch.arange(4), "b": torch.rand(4, 2)}, None])
def test_a_condition_comes_back_from_its_named_parts(condition: Any) -> None:
    again = condition_from_named({"z": torch.zeros(4, 2), **named_parts(condition)})
    assert type(again) is type(condition)
    assert_close(named_parts(again), named_parts(condition))
    halves = [rows_at(condition, slice(2)), rows_at(condition, slice(2, None))]
    assert_close(named_parts(joined(halves)), named_parts(condition))
