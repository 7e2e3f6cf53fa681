"""Mixtures of labelled normal components against torch's own, and combinations within and between components."""

import inspect
import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily
from torch.distributions import Normal as TorchNormal
from torch.testing import assert_close

from latentry.interfaces import IndependentPrior, LabelledPrior
from latentry.numerics.goodness_of_fit import ks_p_value, ks_statistic
from latentry.priors import NormalMixture, Rule, TrainedMixture, combine, interpolate

LEVEL = 1e-4
LOC = [[-2.0, 0.0, 1.0], [3.0, 0.5, 1.0]]
SCALE = [[0.5, 2.0, 1.0], [1.5, 0.3, 1.0]]
PROBS = [0.3, 0.7]


@pytest.fixture
def prior() -> NormalMixture:
    return NormalMixture(LOC, SCALE, PROBS).double()


def twin(prior: NormalMixture) -> MixtureSameFamily:
    return MixtureSameFamily(Categorical(prior.probs), Independent(TorchNormal(prior.loc, prior.scale), 1))


def test_the_mixture_agrees_with_that_of_torch(prior: NormalMixture) -> None:
    z = torch.randn(4, 5, 3, dtype=torch.float64) * 3
    assert_close(prior.log_prob(z), twin(prior).log_prob(z))
    assert_close(prior().mean, twin(prior).mean)
    assert_close(prior().variance, twin(prior).variance)
    y = torch.randint(0, 2, (4, 5))
    assert_close(prior.log_prob(z, y), Independent(TorchNormal(prior.loc[y], prior.scale[y]), 1).log_prob(z))
    assert_close(prior(y).entropy(), Independent(TorchNormal(prior.loc[y], prior.scale[y]), 1).entropy())


def test_the_posterior_is_bayes_rule(prior: NormalMixture, rng: torch.Generator) -> None:
    z = prior.sample(6, rng=rng)
    joint = torch.stack([prior.probs[k].log() + prior.log_prob(z, torch.full((6,), k)) for k in (0, 1)], -1)
    assert_close(prior.label_log_probs(z), joint - prior.log_prob(z)[:, None])


def test_the_posterior_is_right_where_all_densities_underflow(prior: NormalMixture) -> None:
    z = torch.tensor([[1e3, 0.0, 0.0], [-1e3, 0.0, 0.0]], dtype=torch.float64)
    assert prior.log_prob(z).isfinite().all()
    found = prior.label_log_probs(z)
    assert_close(found.exp(), torch.tensor([[0.0, 1.0], [0.0, 1.0]], dtype=torch.float64))  # the wider one, on both sides
    assert found.isfinite().all()


def test_coordinates_that_components_share_do_not_change_the_posterior(prior: NormalMixture) -> None:
    z = torch.tensor([[0.2, 0.1, -5.0], [0.2, 0.1, 50.0]], dtype=torch.float64)
    assert_close(prior.label_log_probs(z)[0], prior.label_log_probs(z)[1])


def test_samples_follow_the_mixture_and_their_labels_the_prior(prior: NormalMixture, rng: torch.Generator) -> None:
    z = prior.sample(6000, rng=rng)
    y = prior.sample_labels(z, rng=rng)
    low, high = stats.binom.interval(1 - LEVEL, 6000, 0.7)
    assert low <= int(y.sum()) <= high
    u = prior(y).cdf(z)
    assert stats.kstest(u.flatten().numpy(), "uniform").pvalue > LEVEL
    assert abs(torch.corrcoef(u.mT)[0, 1].item()) < 4 / 6000**0.5
    first, second = (prior.sample(4, rng=torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)


def test_components_have_per_coordinate_functions(prior: NormalMixture) -> None:
    y = torch.tensor([0, 1, 1])
    z = torch.linspace(-2, 3, 9, dtype=torch.float64).view(3, 3)
    loc, scale = prior.loc[y].numpy(), prior.scale[y].numpy()
    component = prior(y)
    assert_close(component.cdf(z), torch.from_numpy(stats.norm(loc, scale).cdf(z.numpy())))
    assert_close(component.icdf(component.cdf(z)), z, rtol=1e-6, atol=1e-6)
    assert_close(component.log_cdf(z), torch.from_numpy(stats.norm(loc, scale).logcdf(z.numpy())))
    assert_close(component.log_sf(z), torch.from_numpy(stats.norm(loc, scale).logsf(z.numpy())))
    assert_close(component.mean, prior.loc[y])
    assert_close(component.variance, prior.scale[y] ** 2)


def test_shapes_follow_labels(prior: NormalMixture, rng: torch.Generator) -> None:
    y = torch.randint(0, 2, (4, 5))
    assert prior(y).batch_shape == (4, 5)
    assert prior(y).event_shape == prior().event_shape == (3,)
    assert prior.sample((), y, rng=rng).shape == (4, 5, 3)
    assert prior.sample(2, y, rng=rng).shape == (2, 4, 5, 3)
    assert prior.sample((2, 7), rng=rng).shape == (2, 7, 3)
    assert prior.sample(rng=rng).shape == (3,)
    assert prior.sample(0).shape == (0, 3)
    assert prior.sample_labels(prior.sample((2, 7))).shape == (2, 7)
    assert prior.label_log_probs(prior.sample((2, 7))).shape == (2, 7, 2)
    assert prior.float().sample(3).dtype == torch.float32


def test_it_is_a_labelled_prior_with_json_arguments(prior: NormalMixture) -> None:
    assert isinstance(prior, LabelledPrior)
    assert not isinstance(prior, IndependentPrior)
    again = NormalMixture(**json.loads(json.dumps(NormalMixture(LOC, SCALE, PROBS).arguments())))
    assert_close(again.state_dict(), NormalMixture(LOC, SCALE, PROBS).state_dict(), rtol=0, atol=0)
    assert_close(NormalMixture(LOC, SCALE).probs, torch.tensor([0.5, 0.5]))


@pytest.mark.parametrize("rule", ["transport", "slerp"])
@pytest.mark.parametrize("t", [0.25, 0.5, 1.3])
def test_within_a_component_a_combination_is_a_code_of_it(
    prior: NormalMixture, rule: Rule, t: float, rng: torch.Generator
) -> None:
    y = torch.randint(0, 2, (20_000,), generator=rng)
    z_a, z_b = prior.sample(2, y, rng=rng)
    z = interpolate(z_a, z_b, t, prior, rule, y_a=y, y_b=y)
    p_value = ks_p_value(ks_statistic(prior(y).cdf(z).flatten()), z.numel()).item()
    assert p_value > LEVEL if rule == "transport" else p_value < LEVEL  # slerp needs many coordinates
    straight = interpolate(z_a, z_b, t, prior, "lerp")
    assert_close(straight, (1 - t) * z_a + t * z_b)


def test_any_weights_stay_within_a_component(prior: NormalMixture, rng: torch.Generator) -> None:
    y = torch.ones(20_000, dtype=torch.int64)
    codes = prior.sample(3, y, rng=rng)
    z = combine(codes, (-1.0, 0.4, 2.0), prior, y=y.expand(3, -1))
    assert ks_p_value(ks_statistic(prior(y).cdf(z).flatten()), z.numel()).item() > LEVEL
    assert_close(combine(codes, (-1.0, 0.4, 2.0), prior, "variance-corrected", y=y.expand(3, -1)), z, rtol=1e-6, atol=1e-6)


def test_between_normal_components_codes_follow_their_barycentre(prior: NormalMixture, rng: torch.Generator) -> None:
    """The Wasserstein-2 barycentre of N(m, s^2) and N(m', s'^2) is N((1 - t) m + t m', ((1 - t) s + t s')^2)."""
    zeros, t = torch.zeros(20_000, dtype=torch.int64), 0.3
    z_a, z_b = prior.sample((), zeros, rng=rng), prior.sample((), zeros + 1, rng=rng)
    loc, scale = ((1 - t) * part[0] + t * part[1] for part in (prior.loc, prior.scale))
    for rule in ("transport", "variance-corrected"):
        z = interpolate(z_a, z_b, t, prior, rule, y_a=zeros, y_b=zeros + 1)  # type: ignore[arg-type]
        u = torch.special.ndtr((z - loc) / scale)
        assert ks_p_value(ks_statistic(u.flatten()), u.numel()).item() > LEVEL
    assert prior.log_prob(z).mean() < prior.log_prob(prior.sample(20_000, rng=rng)).mean() - 1


@pytest.mark.parametrize("rule", ["lerp", "slerp", "variance-corrected", "transport"])
def test_the_ends_of_a_path_are_the_codes_themselves(prior: NormalMixture, rule: Rule, rng: torch.Generator) -> None:
    y_a, y_b = torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1])
    z_a, z_b = prior.sample((), y_a, rng=rng), prior.sample((), y_b, rng=rng)
    path = interpolate(z_a, z_b, torch.tensor([0.0, 0.4, 1.0]), prior, rule, y_a=y_a, y_b=y_b)
    assert path.shape == (3, 3, 3)
    assert torch.equal(path[0], z_a)
    assert torch.equal(path[2], z_b)
    one = interpolate(z_a[1], z_b[1], 0.4, prior, rule, y_a=y_a[1], y_b=y_b[1])
    assert_close(one, path[1, 1])


def test_combinations_are_differentiable(prior: NormalMixture, rng: torch.Generator) -> None:
    y = torch.tensor([[0, 1], [0, 0]])
    z = prior.sample((), y, rng=rng).requires_grad_(True)
    t = torch.tensor([0.2, 0.7], dtype=torch.float64, requires_grad=True)

    def path(z: Tensor, t: Tensor) -> Tensor:
        return interpolate(*z, t, prior, y_a=y[0], y_b=y[1])

    assert torch.autograd.gradcheck(path, (z, t), atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: interpolate(torch.zeros(1, 3), torch.zeros(1, 3), 0.5, p), r"pass y .*sample_labels"),
        (
            lambda p: combine(torch.zeros(2, 1, 3), (1.0, 1.0), p, y=torch.tensor([[0], [1]])),
            "sum to 1 between codes of different labels",
        ),
        (
            lambda p: inspect.unwrap(combine)(torch.zeros(2, 1, 3), (0.5, 0.5), p, y=torch.tensor([[0, 1], [1, 1]])),
            "one label for each code",
        ),
        (lambda p: p(torch.tensor([2])), "labels from 0 to 1, got 2"),
        (lambda p: NormalMixture(LOC, [[1.0, 1.0, 1.0]]), "one shape"),
        (lambda p: NormalMixture(LOC, [[1.0, 1.0, 0.0]] * 2), "scales above 0"),
        (lambda p: NormalMixture([[math.nan]], [[1.0]]), "finite means"),
        (lambda p: NormalMixture(LOC, SCALE, [0.5, 0.6]), "sum to 1"),
        (lambda p: NormalMixture(LOC, SCALE, [1.0]), "2 probabilities"),
    ],
)
def test_bad_input_is_named(make: object, message: str, prior: NormalMixture) -> None:
    with pytest.raises(ValueError, match=message):
        make(prior)  # type: ignore[operator]


# --------------------------------------------------------------------------------------------- components in training


def test_a_trained_mixture_settles_to_the_prior_it_describes() -> None:
    mixture = TrainedMixture(4, 3)
    assert_close(mixture.precision, torch.ones(4, 3))
    with torch.no_grad():
        mixture.raw.uniform_(-1, 2)
    prior = mixture.settled(torch.tensor([0.1, 0.2, 0.3, 0.4]))
    assert_close(prior(torch.arange(4)).variance, 1 / mixture.precision)
    assert_close(prior(torch.arange(4)).mean, mixture.loc)
    assert_close(prior.probs, torch.tensor([0.1, 0.2, 0.3, 0.4]))
    assert not any(value.requires_grad for value in prior.state_dict().values())


def test_precisions_that_run_away_are_brought_back_to_the_ends_of_their_range() -> None:
    mixture = TrainedMixture(1, 3, precision_range=(0.5, 4.0))
    with torch.no_grad():
        mixture.raw.copy_(torch.tensor([[-50.0, 0.5, 90.0]]))
    inside = mixture.precision[0, 1].item()
    mixture.limit_()
    assert_close(mixture.precision, torch.tensor([[0.5, inside, 4.0]]))


@pytest.mark.parametrize("arguments", [(0, 3), (3, 0), (2, 2, (2.0, 5.0)), (2, 2, (0.0, 5.0))])
def test_a_trained_mixture_refuses_what_it_cannot_be(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match="expected"):
        TrainedMixture(*arguments)


def test_coordinates_beside_a_mixture_are_normal_and_know_no_label(prior: NormalMixture) -> None:
    wider = prior.beside_normal(2)
    z = torch.randn(6, 5, dtype=torch.float64)
    y = torch.arange(6) % 2
    assert_close(wider.label_log_probs(z), prior.label_log_probs(z[:, :3]))
    assert_close(wider.log_prob(z, y), prior.log_prob(z[:, :3], y) + TorchNormal(0.0, 1.0).log_prob(z[:, 3:]).sum(1))
    with pytest.raises(ValueError, match="at least 0, got -1"):
        prior.beside_normal(-1)


APART = NormalMixture([[0.0], [100.0], [200.0]], [[1.0]] * 3)


@pytest.mark.parametrize(
    "labels",
    [
        *(
            torch.tensor([2, 0, 1], dtype=kind)
            for kind in (torch.uint8, torch.int8, torch.int16, torch.int32, torch.float32)
        ),
        np.array([2, 0, 1], np.uint8),
        [2, 0, 1],
    ],
    ids=str,
)
def test_labels_of_any_type_name_components_and_are_no_masks(labels: Any) -> None:
    wanted = APART.sample((), torch.tensor([2, 0, 1]), rng=torch.Generator().manual_seed(0))
    assert torch.equal(APART.sample((), labels, rng=torch.Generator().manual_seed(0)), wanted)
    assert torch.equal(APART(labels).loc, torch.tensor([[200.0], [0.0], [100.0]]))


def test_bools_are_labels_and_no_labels_are_no_codes() -> None:
    assert torch.equal(APART(torch.tensor([True, False])).loc, torch.tensor([[100.0], [0.0]]))
    assert APART.sample((), torch.empty(0, dtype=torch.int64)).shape == (0, 1)


def test_labels_that_are_no_whole_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="expected whole numbers as y"):
        APART.sample((), torch.tensor([0.5]))


@pytest.mark.parametrize("far", [1e20, 3e38])
def test_codes_far_from_all_components_are_of_the_nearest(far: float) -> None:
    z = torch.tensor([[-far], [far]])
    assert APART.label_log_probs(z).argmax(1).tolist() == [0, 2]
    assert APART.sample_labels(z).tolist() == [0, 2]
    wide = NormalMixture([[0.0], [100.0]], [[1.0], [2.0]])
    assert wide.sample_labels(z.double() * 1e200).tolist() == [1, 1]  # the wider component, however far


def test_labels_of_codes_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="expected finite z"):
        APART.sample_labels(torch.tensor([[math.nan]]))
