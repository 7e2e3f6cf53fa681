"""The conformance kit: ours keep their promises, and what breaks one promise breaks that row alone."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

import latentry as lt
from latentry.testing import Conformance, check_generator, check_measurement, check_prior, maps

pytestmark = pytest.mark.filterwarnings("ignore:`?.?torch.jit:DeprecationWarning")

D = 6
PRIOR = lt.priors.Normal(D)


def named(promise: str, *words: str) -> str:
    input_, inputs, outputs = words
    return promise.format(input=input_, inputs=inputs, outputs=outputs)


def of_generator(promise: str) -> str:
    return named(promise, "code", "codes", "data")


def of_measurement(promise: str) -> str:
    return named(promise, "datum", "data", "measurements")


def broken_rows(found: Conformance) -> list[str]:
    return [promise.name for promise in found.broken]


class Counts(nn.Module):
    """Counts its calls in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, z: Tensor) -> Tensor:
        self.calls += 1
        return 2 * z


class Trains(nn.Module):
    """Turns itself to train mode."""

    def forward(self, z: Tensor) -> Tensor:
        self.training = True
        return 2 * z


class Reuses:
    """Writes to the tensor that it returned before."""

    def __init__(self) -> None:
        self.kept: Tensor | None = None

    def __call__(self, z: Tensor) -> Tensor:
        if self.kept is None or self.kept.shape != z.shape:
            self.kept = torch.empty_like(z)
        self.kept.copy_(2 * z.detach())
        return self.kept


class ForwardOff(torch.autograd.Function):
    """A right gradient, and a wrong forward derivative."""

    generate_vmap_rule = True

    @staticmethod
    def forward(z: Tensor) -> Tensor:
        return 2 * z

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *slopes: Any) -> Any:
        return 2 * slopes[0]

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        return 3 * tangents[0]


def of_four(z: Tensor) -> Tensor:
    return 2 * z.view(4, *z.shape[1:])


def straight_through(z: Tensor) -> Tensor:
    return z + ((3 * z).round() - z).detach()


BROKEN_MAPS: dict[str, tuple[str, Callable[[Tensor], Any]]] = {
    "a dict": (maps.GIVES, lambda z: {"x": z}),
    "whole numbers": (maps.GIVES, lambda z: z.long()),
    "a row less": (maps.GIVES, lambda z: z[1:]),
    "an error": (maps.GIVES, lambda z: z @ torch.ones(1, 99)),
    "another device": (maps.DEVICE, lambda z: z.to("meta")),
    "in place": (maps.INPUT, lambda z: z.data.mul_(2)),
    "counts": (maps.STATE, Counts()),
    "trains": (maps.STATE, Trains()),
    "reuses": (maps.NEW, Reuses()),
    "NaN": (maps.FINITE, lambda z: torch.where(z > 0.5, torch.nan, z)),
    "noise": (maps.DETERMINISTIC, lambda z: z + torch.randn_like(z)),
    "mean of the batch": (maps.OWN_ROW, lambda z: z - z.mean(0)),
    "place in the batch": (maps.ORDER, lambda z: z * torch.arange(1, len(z) + 1).view(-1, *[1] * (z.ndim - 1))),
    "four at a time": (maps.BATCH, of_four),
    "share of the batch": (maps.BATCH, lambda z: z / len(z)),
    "constant": (maps.DIFFERENT, lambda z: 0 * z + 1),
    "detached": (maps.GRADIENT, lambda z: z.detach()),
    "comparison": (maps.GRADIENT, lambda z: (z > 0).to(z)),
    "flat": (maps.GRADIENT, lambda z: z.round()),
    "straight through": (maps.DIFFERENCES, straight_through),
    "half detached": (maps.DIFFERENCES, lambda z: z * z.detach()),
    "forward derivative": (maps.FORWARD, ForwardOff.apply),
}
each_fault = pytest.mark.parametrize(("promise", "fault"), BROKEN_MAPS.values(), ids=BROKEN_MAPS)


@each_fault
def test_a_generator_with_one_fault_breaks_one_promise(promise: str, fault: Callable[[Tensor], Any]) -> None:
    found = check_generator(fault, PRIOR)
    assert broken_rows(found) == [of_generator(promise)]
    assert not found
    assert found.broken[0].way_out
    with pytest.raises(ValueError, match="to keep its promises, got 1 broken"):
        check_generator(fault, PRIOR, raises=True)


@each_fault
def test_a_measurement_with_one_fault_breaks_one_promise(promise: str, fault: Callable[[Tensor], Any]) -> None:
    found = check_measurement(fault, (2, 5))
    assert broken_rows(found) == [of_measurement(promise)]
    assert found.broken[0].way_out


def test_data_beyond_the_stated_range_break_that_promise() -> None:
    found = check_generator(lambda z: 2 * z.tanh(), PRIOR, output_range=(-1.0, 1.0))
    assert broken_rows(found) == ["gives data within output_range"]
    assert check_generator(torch.tanh, PRIOR, output_range=(-1.0, 1.0))["gives data within output_range"].verdict == "kept"


class WrongAdjoint:
    def __call__(self, x: Tensor) -> Tensor:
        return x.cumsum(1)

    def adjoint(self, y: Tensor, shape: Any) -> Tensor:
        return y.cumsum(1)


class WrongNorm:
    def __call__(self, x: Tensor) -> Tensor:
        return 3 * x

    def norm(self, shape: Any) -> float:
        return 2.0


def test_a_wrong_adjoint_and_a_wrong_norm_are_seen() -> None:
    assert broken_rows(check_measurement(WrongAdjoint(), (4,))) == ["its adjoint is its transpose"]
    assert broken_rows(check_measurement(WrongNorm(), (4,))) == ["its norm is its largest singular value"]


def test_what_is_not_linear_is_told_and_breaks_nothing() -> None:
    found = check_measurement(torch.sin, (4,))
    assert found
    assert found["is linear"].verdict == "not applicable"
    assert "adjoint" in found["is linear"].way_out


def traced() -> Any:
    torch.manual_seed(1)
    return torch.jit.trace(nn.Sequential(nn.Linear(D, 5), nn.Tanh()), torch.zeros(2, D))


GENERATORS: dict[str, Callable[[], Any]] = {
    "lambda": lambda: lambda z: z.tanh() * 2,
    "in train mode": lambda: nn.Sequential(nn.Linear(D, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3)),
    "method": lambda: nn.Linear(D, 3).forward,
    "double": lambda: nn.Linear(D, 3).double(),
    "TorchScript": traced,
}  # fmt: skip


@pytest.mark.parametrize("make", GENERATORS.values(), ids=GENERATORS)
def test_generators_of_every_form_keep_their_promises(make: Callable[[], Any]) -> None:
    assert check_generator(make(), PRIOR, raises=True)


@pytest.mark.parametrize("name", ["digits-generator", "digits-split"])
def test_shipped_generators_keep_every_promise(name: str) -> None:
    model = lt.load_model(name)
    found = check_generator(model.generator, model.prior, output_range=(-1.0, 1.0))
    assert {promise.verdict for promise in found.promises} == {"kept"}, found


def test_what_computes_in_single_precision_alone_is_told_what_double_would_allow() -> None:
    row = check_generator(lambda z: z.float().tanh(), PRIOR)["computes in double precision"]
    assert row.verdict == "not applicable"
    assert "exact minimum" in row.way_out


def test_a_check_leaves_the_module_as_it_was() -> None:
    counts, random = Counts(), torch.get_rng_state()
    counts.train()
    check_generator(counts, PRIOR)
    check_generator(lambda z: z + torch.randn_like(z), PRIOR)
    assert counts.training
    assert counts.calls == 0
    assert_close(torch.get_rng_state(), random)


def test_a_prior_of_another_length_is_named_in_one_row() -> None:
    found = check_generator(nn.Linear(7, 3), PRIOR)
    assert broken_rows(found) == [of_generator(maps.GIVES)]
    assert "pass a prior of length 7" in found.broken[0].measured


def test_a_report_is_a_table_with_the_way_out_below_what_is_broken() -> None:
    found = check_generator(lambda z: z.detach(), PRIOR)
    lines = repr(found).splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("  broken"))
    assert lines[0].startswith("generator")
    assert "has a gradient" in lines[place]
    assert lines[place + 1].strip().startswith("> remove no_grad")
    assert max(map(len, lines)) <= 120
    assert "<td>has a gradient</td>" in found._repr_html_()
    with pytest.raises(KeyError, match="expected one of the promises"):
        found["no such"]


class Written:
    """A right prior with no more than codes: N(0, 4 I)."""

    latent_dim = 3

    def sample(self, shape: Any = (), y: Any = None, *, rng: torch.Generator | None = None) -> Tensor:
        return 2 * torch.randn(*shape, 3, generator=rng)


class Dense(Written):
    """With its density."""

    def log_prob(self, z: Tensor, y: Any = None) -> Tensor:
        return torch.distributions.Normal(0.0, 2.0).log_prob(z).sum(-1)


class Mapped(Dense):
    """With normal coordinates."""

    def to_normal(self, z: Tensor) -> Tensor:
        return z / 2

    def from_normal(self, e: Tensor) -> Tensor:
        return 2 * e


class Quantiles(Written):
    """With quantiles of each coordinate."""

    def cdf(self, z: Tensor) -> Tensor:
        return torch.special.ndtr(z / 2)

    def icdf(self, u: Tensor) -> Tensor:
        return 2 * torch.special.ndtri(u)


class Described(Dense):
    """With a distribution of torch."""

    def __call__(self, y: Any = None) -> Any:
        return torch.distributions.Independent(torch.distributions.Normal(torch.zeros(3), 2 * torch.ones(3)), 1)


class Labelled(Written):
    """One component, which all codes have as their label."""

    def __call__(self, y: Tensor) -> Any:
        return lt.priors.DiagonalNormal(torch.zeros(len(y), 3), 2 * torch.ones(len(y), 3))

    def sample_labels(self, z: Tensor, *, rng: torch.Generator | None = None) -> Tensor:
        return torch.zeros(len(z), dtype=torch.int64)


RIGHT_PRIORS = (Written, Dense, Mapped, Quantiles, Described, Labelled)


def changed(kind: type, **methods: Any) -> Any:
    return type("Broken", (kind,), methods)()


OWN = torch.Generator().manual_seed(3)


class Single(nn.Module):
    """A module that draws in single precision whatever it is moved to."""

    latent_dim = 3

    def sample(self, shape: Any = (), y: Any = None, *, rng: torch.Generator | None = None) -> Tensor:
        return torch.randn(*shape, 3, generator=rng)


def noisily(self: Any, shape: Any = (), y: Any = None, *, rng: torch.Generator | None = None) -> Tensor:
    torch.rand(1)
    return torch.randn(*shape, 3, generator=rng)


def by_a_source_of_its_own(self: Any, shape: Any = (), y: Any = None, *, rng: torch.Generator | None = None) -> Tensor:
    return torch.randn(*shape, 3, generator=None if rng is None else OWN)


def seeded_where_there_is_none(self: Any, shape: Any = (), y: Any = None, *, rng: torch.Generator | None = None) -> Tensor:
    return torch.randn(*shape, 3, generator=torch.Generator().manual_seed(0) if rng is None else rng)


def repeating_one(self: Any, shape: Any = (), y: Any = None, *, rng: torch.Generator | None = None) -> Tensor:
    return torch.randn(3, generator=rng).expand(*shape, 3)


def refusing(self: Any, z: Tensor, y: Any = None) -> Tensor:
    if (z.abs() > 50).any():
        raise ValueError("outside")
    return Dense.log_prob(self, z)


class NoBatch(torch.distributions.Independent):
    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        return self


def shifted_normal() -> Any:
    return torch.distributions.Independent(torch.distributions.Normal(torch.ones(3), 2.0), 1)


def with_density(log_prob: Callable[[Tensor], Tensor]) -> Any:
    return changed(Dense, log_prob=lambda self, z, y=None: log_prob(z))


def density(z: Tensor) -> Tensor:
    return Dense().log_prob(z)


BROKEN_PRIORS: dict[str, tuple[str, Any]] = {
    "no prior": ("is a prior", object()),
    "short codes": ("sample(shape) gives codes (*shape, d)", changed(Written, latent_dim=4)),
    "NaN": (
        "sample(shape) gives codes (*shape, d)",
        changed(Written, sample=lambda self, shape, rng: torch.full((*shape, 3), torch.nan)),
    ),
    "whole numbers": (
        "sample(shape) gives codes (*shape, d)",
        changed(Written, sample=lambda self, shape, rng: torch.zeros(*shape, 3).long()),
    ),
    "own source": ("equal seeds of rng give equal codes", changed(Written, sample=by_a_source_of_its_own)),
    "a draw too many": ("with rng it leaves torch's own random numbers alone", changed(Written, sample=noisily)),
    "seeds itself": (
        "without rng it draws from torch's own random numbers",
        changed(Written, sample=seeded_where_there_is_none),
    ),
    "one code": ("codes of one call differ", changed(Written, sample=repeating_one)),
    "single precision": ("draws in double precision", Single()),
    "mean": ("mean and variance are those of its codes", changed(Described, __call__=lambda self: shifted_normal())),
    "no batch": (
        "expand gives a batch of distributions",
        changed(Described, __call__=lambda self: NoBatch(torch.distributions.Normal(torch.zeros(3), 2.0), 1)),
    ),
    "densities of coordinates": ("log_prob gives one number for each code", with_density(lambda z: -z.square())),
    "mean of the batch": ("log_prob looks at each code alone", with_density(lambda z: density(z) - z.mean())),
    "refuses": ("answers far from its codes too", changed(Dense, log_prob=refusing)),
    "detached": ("the gradient of log_prob agrees with finite differences", with_density(lambda z: density(z.detach()))),
    "another scale": ("its codes follow log_prob", with_density(lambda z: density(0.9 * z) + 3 * torch.tensor(0.9).log())),
    "no constant": ("the density integrates to one", with_density(lambda z: -z.square().sum(-1) / 8)),
    "cdf": ("its codes follow cdf", changed(Quantiles, cdf=lambda self, z: torch.special.ndtr(z / 1.6))),
    "icdf": ("icdf undoes cdf", changed(Quantiles, icdf=lambda self, u: torch.special.ndtri(u))),
    "way back": ("from_normal undoes to_normal", changed(Mapped, from_normal=lambda self, e: e)),
    "no Jacobian": (
        "to_normal has the Jacobian of the density",
        changed(Mapped, to_normal=lambda self, z: z.detach() / 2 + 0 * z),
    ),
    "marginal": ("its codes pass goodness of fit", changed(Written, marginal=lt.priors.Normal(1).marginal)),
    "labels": (
        "labels of codes are whole numbers, one for each",
        changed(Labelled, sample_labels=lambda self, z, rng=None: z),
    ),
}


@pytest.mark.parametrize(("promise", "prior"), BROKEN_PRIORS.values(), ids=BROKEN_PRIORS)
def test_a_prior_with_one_fault_breaks_one_promise(promise: str, prior: Any) -> None:
    found = check_prior(prior)
    assert broken_rows(found) == [promise], found
    assert found.broken[0].way_out


@pytest.mark.parametrize("kind", RIGHT_PRIORS)
def test_right_priors_of_others_keep_their_promises(kind: type) -> None:
    assert check_prior(kind(), raises=True)


T = torch.distributions
DISTRIBUTIONS: dict[str, Callable[[], Any]] = {
    "normal": lambda: T.Normal(torch.ones(3), 2.0),
    "multivariate normal": lambda: T.MultivariateNormal(torch.zeros(3), torch.eye(3) + 0.5),
    "uniform": lambda: T.Independent(T.Uniform(-torch.ones(3), torch.ones(3)), 1),
    "Student t": lambda: T.Independent(T.StudentT(3 * torch.ones(3)), 1),
    "gamma": lambda: T.Independent(T.Gamma(2 * torch.ones(3), 1.0), 1),
    "mixture": lambda: T.MixtureSameFamily(
        T.Categorical(torch.ones(2)), T.Independent(T.Normal(4 * torch.eye(2, 3), 1.0), 1)
    ),
    "Dirichlet": lambda: T.Dirichlet(2 * torch.ones(3)),
}


@pytest.mark.parametrize("make", DISTRIBUTIONS.values(), ids=DISTRIBUTIONS)
def test_distributions_of_torch_keep_their_promises(make: Callable[[], Any]) -> None:
    found = check_prior(make(), raises=True)
    assert found["equal seeds of rng give equal codes"].verdict == "kept"


def test_a_flow_of_zuko_keeps_its_promises() -> None:
    zuko = pytest.importorskip("zuko")
    torch.manual_seed(1)
    found = check_prior(zuko.flows.NSF(3, transforms=1, hidden_features=(8,))(), raises=True)
    assert found["to_normal has the Jacobian of the density"].verdict == "kept"


P = lt.priors
CODES = torch.randn(2000, 2, generator=torch.Generator().manual_seed(0)) @ torch.tensor([[1.0, 0.5], [0.0, 1.0]])
OUR_PRIORS = [
    P.Normal(D), P.Normal(64, 1.0, 2.0), P.Uniform(D, 0.5, 2.0), P.HalfUniformHalfNormal(D), P.TruncatedCauchy(D, bound=5.0),
    P.Tabulated(D, [0.2, 0.0, 0.5, 0.3]), P.GammaRadius(D), P.SphericalCauchy(D), P.LogUniformRadius(D),
    P.Copula.fitted(CODES.exp()),
    P.MultivariateNormal([0.0, 1.0], [[2.0, 0.0], [1.0, 1.0]]), P.MultivariateNormalMixture([[-3.0], [3.0]], [[1.0], [1.0]]),
    P.Flow(P.MultivariateNormal(torch.zeros(2), torch.ones(2)), transforms=1, bins=4, hidden=(8,)),
    P.NormalMixture([[-2.0] * D, [2.0] * D], [[1.0] * D, [0.5] * D]), P.SemanticPlacement(("round", "tall"), D),
]  # fmt: skip
SAID_OF_ALL = (
    "equal seeds of rng give equal codes", "expand gives a batch of distributions", "its codes follow log_prob",
    "the density integrates to one", "its codes pass goodness of fit", "draws in double precision",
)  # fmt: skip


@pytest.mark.parametrize("prior", OUR_PRIORS, ids=repr)
def test_our_priors_keep_their_promises(prior: Any) -> None:
    found = check_prior(prior, raises=True)
    assert {found[name].verdict for name in SAID_OF_ALL} == {"kept"}


def test_what_a_prior_has_not_is_told_with_what_it_would_allow() -> None:
    found = check_prior(Written())
    assert "no transport interpolation" in found["from_normal undoes to_normal"].measured
    assert "negative log prior" in found["log_prob gives one number for each code"].measured


def test_a_mixture_of_which_no_code_is_asked_draws_nothing() -> None:
    before = torch.get_rng_state()
    assert OUR_PRIORS[-2].sample((0,)).shape == (0, D)
    assert torch.equal(torch.get_rng_state(), before)
