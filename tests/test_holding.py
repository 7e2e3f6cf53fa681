"""A module is held however it is reached, comes back as it was, and what no one can see inside is refused unharmed."""

import ctypes
import functools
import io
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from copy import deepcopy
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

import latentry as lt
from latentry.evaluation.basis import label_map
from latentry.evaluation.edit_leakage import edit_leakage
from latentry.evaluation.monotonicity import monotonicity
from latentry.evaluation.operators import evaluate_operator
from latentry.evaluation.samples import evaluate_samples
from latentry.holding import evaluated, modules_behind, require_generator, tried, weights_like
from latentry.latent.settings import EncoderSettings, InverseSettings

Way = Callable[[nn.Module], Any]

D = 4
PRIOR = lt.priors.Normal(D)
ONE_STEP = InverseSettings(steps=1, width=1, batch_size=4)
NETWORKS: dict[int, Any] = {}
namespace: Any = ModuleType("networks_of_a_user")
namespace.decoders = []
sys.modules["networks_of_a_user"] = namespace

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def network(outputs: int = D, inputs: int = D) -> nn.Module:
    """In train mode, where it is stochastic, depends on its batch and moves its statistics."""
    torch.manual_seed(inputs + outputs)
    body = nn.Sequential(
        nn.Linear(inputs, 12),
        nn.BatchNorm1d(12),
        nn.Tanh(),
        nn.Dropout(0.4),
        nn.Linear(12, outputs),
        nn.BatchNorm1d(outputs),
    )
    body[1].momentum = body[5].momentum = 1.0
    body(torch.randn(200, inputs))  # outputs of about mean 0 and deviation 1
    return body


class Plain:
    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __call__(self, x: Tensor) -> Tensor:
        return self.inner(x)

    def decode(self, x: Tensor) -> Tensor:
        return self.inner(x)


class Slotted:
    __slots__ = ("inner",)

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __call__(self, x: Tensor) -> Tensor:
        return self.inner(x)


def decorated(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(x: Tensor) -> Tensor:
        return function(x)

    return wrapper


def through_a_class(inner: nn.Module) -> Any:
    class Holder:
        network = inner

        @staticmethod
        def decode(x: Tensor) -> Tensor:
            return Holder.network(x)

    return Holder.decode


def through_globals(inner: nn.Module) -> Any:
    key = len(NETWORKS)
    NETWORKS[key] = [inner]
    return lambda x: NETWORKS[key][0](x)


def through_a_module(inner: nn.Module) -> Any:
    key = len(namespace.decoders)
    namespace.decoders.append(inner)

    def decode(x: Tensor) -> Tensor:
        import networks_of_a_user  # type: ignore[import-not-found]

        return networks_of_a_user.decoders[key](x)

    return decode


def in_a_list_of_a_module(inner: nn.Module) -> nn.Module:
    class Unregistered(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = [inner]

        def forward(self, x: Tensor) -> Tensor:
            return self.parts[0](x)

    return Unregistered()


WAYS: dict[str, Way] = {
    "module": lambda inner: inner,
    "method": lambda inner: inner.forward,
    "closure": lambda inner: lambda x: inner(x),
    "partial": lambda inner: functools.partial(lambda network, x: network(x), inner),
    "keyword": lambda inner: functools.partial(lambda x, network: network(x), network=inner),
    "default": lambda inner: lambda x, network=inner: network(x),
    "object": Plain,
    "slots": Slotted,
    "method of an object": lambda inner: Plain(inner).decode,
    "objects in objects": lambda inner: Slotted(Plain(SimpleNamespace(deep={"er": (inner,)}).deep["er"][0])),
    "decorated": lambda inner: decorated(lambda x: inner(x)),
    "no_grad inside": lambda inner: decorated(functools.lru_cache(lambda x: inner(x))),
    "nested": lambda inner: lambda x: (lambda y: inner(y))(x),
    "weak": lambda inner: functools.partial(lambda reference, x: reference()(x), weakref.ref(inner)),
    "class": through_a_class,
    "globals": through_globals,
    "global module": through_a_module,
    "list of a module": in_a_list_of_a_module,
}


def recovered(way: Way) -> Tensor:
    x = network().eval()(PRIOR.sample(3, rng=rng())).detach()
    found = lt.recover_codes(way(network()), x, PRIOR, solver=lt.solvers.LevenbergMarquardt(steps=4), restarts=1, rng=rng())
    return found.x_hat


def a_start(way: Way) -> Tensor:
    x = torch.randn(3, D, generator=rng())
    return lt.recover_codes(
        lambda z: z, x, PRIOR, start=way(network()), solver=lt.solvers.Adam(steps=1), restarts=1, rng=rng()
    ).z


def an_operator(way: Way) -> Tensor:
    difference = lt.metrics.Difference(operator=way(network(2)), extractor=way(network(3, 2)))
    x = torch.randn(3, 2, generator=rng())
    return lt.recover_codes(
        lambda z: 2 * z, x, PRIOR, difference=difference, solver=lt.solvers.Adam(steps=3), restarts=1, rng=rng()
    ).z


def a_regularizer(way: Way) -> Tensor:
    regularizer = lt.regularizers.DiscriminatorLoss(way(network()), way(network(1)))
    x = torch.randn(3, D, generator=rng())
    return lt.recover_codes(
        lambda z: 2 * z,
        x,
        PRIOR,
        regularizer=regularizer,
        weight=1.0,
        solver=lt.solvers.Adam(steps=3),
        restarts=1,
        rng=rng(),
    ).z


def a_provenance(way: Way) -> Tensor:
    x = torch.randn(2, 2, generator=rng())
    return lt.metrics.is_from(
        way(network()),
        x,
        PRIOR,
        calibration=19,
        treatment=way(network(2)),
        recover=lambda generator, x, prior, rng: SimpleNamespace(
            reconstruction_error=x.square().mean(1), z=prior.sample(len(x), rng=rng), x_hat=x
        ),
        rng=rng(),
    ).own_scores


def a_basis(way: Way) -> Tensor:
    x = torch.randn(80, D, generator=rng())
    return lt.quasi_eigenvectors(
        way(network()), way(network(2)), PRIOR, encoder=way(network()), x=x, per_label=5, fewest=1, rng=rng()
    ).vectors


def a_layer(way: Way) -> Tensor:
    return lt.directions.activation_directions(
        way(network()), PRIOR, samples=60, batch_size=30, components=2, rng=rng()
    ).vectors


def an_extractor(way: Way) -> Tensor:
    x = torch.randn(2, 40, D, generator=rng())
    found = evaluate_samples(x[0], x[1], way(network()), neighbours=2, rng=rng())
    return torch.tensor([found.frechet_distance.value, found.kernel_distance.value])


def a_sampler(way: Way) -> Tensor:
    generator, noise, x = way(network()), rng(), torch.randn(40, D, generator=rng())
    found = evaluate_samples(lambda n: generator(PRIOR.sample(n, rng=noise)), x, lambda x: x, count=40, neighbours=2)
    return torch.tensor(found.frechet_distance.value)


def a_stream(way: Way) -> Tensor:
    x = torch.randn(40, D, generator=rng())

    def batches(generator: Any) -> Iterator[Tensor]:
        yield generator(x).detach()

    found = evaluate_samples(batches(way(network())), x, lambda x: x, neighbours=2)
    return torch.tensor(found.frechet_distance.value)


def the_paths(way: Way) -> Tensor:
    points = lt.evaluate_paths(
        way(network()), PRIOR, metric=lambda x, _: x.mean().item(), rules=("lerp",), t=(0.5,), count=8, rng=rng()
    )
    return torch.tensor([point.samples for point in points])


def the_labels(way: Way) -> Tensor:
    return label_map(torch.eye(D), way(network(3)), torch.randn(8, D, generator=rng())).probability


def the_operators(way: Way) -> Tensor:
    x, edited = torch.randn(2, 30, D, generator=rng())
    y = torch.arange(30) % 2
    measure = way(network(1))
    found = evaluate_operator(
        way(network(2)),
        x,
        edited,
        y,
        1 - y,
        measure=lambda x: {"size": measure(x).detach().squeeze(1)},
        extractor=way(network()),
    )
    assert found.feature_distance is not None
    return torch.tensor([found.success.value, found.identity["size"].value, found.feature_distance.value])


def the_attributes(way: Way) -> Tensor:
    x, edited = torch.randn(2, 30, D, generator=rng())
    size = way(network(1))
    leakage = edit_leakage({"size": lambda x: size(x)[:, 0]}, x, edited)
    rising = monotonicity(way(network()), lambda x: size(x)[:, 0], x, torch.ones(D))
    return torch.cat([torch.tensor([leakage.shifts[0].shift.value]).double(), rising.values.flatten()])


FUNCTIONS = [
    recovered,
    a_start,
    an_operator,
    a_regularizer,
    a_provenance,
    a_basis,
    a_layer,
    an_extractor,
    a_sampler,
    a_stream,
    the_paths,
    the_labels,
    the_operators,
    the_attributes,
]


def state(module: nn.Module) -> tuple[Any, ...]:
    return (
        [part.training for part in module.modules()],
        [parameter.requires_grad for parameter in module.parameters()],
        {name: value.clone() for name, value in module.state_dict().items()},
    )


def assert_untouched(module: nn.Module, before: tuple[Any, ...]) -> None:
    modes, flags, tensors = state(module)
    assert modes == before[0]
    assert flags == before[1]
    for name, value in tensors.items():
        assert torch.equal(value, before[2][name]), name


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_the_results_are_those_of_the_module_in_eval_mode(function: Callable[[Way], Tensor], way: str) -> None:
    given: list[tuple[nn.Module, tuple[Any, ...]]] = []

    def hidden(inner: nn.Module) -> Any:
        given.append((inner, state(inner)))
        return WAYS[way](inner)

    found = function(hidden)
    assert_close(found, function(lambda inner: inner.eval()), rtol=1e-3, atol=1e-4)
    assert not found.requires_grad
    for module, before in given:
        assert_untouched(module, before)


@pytest.mark.parametrize("way", ["closure", "object"])
def test_the_frozen_networks_of_a_training_come_back_too(way: str) -> None:
    inner, classifier = network(), network(2)
    before = state(inner), state(classifier)
    inverse = lt.fit_inverse(WAYS[way](inner), PRIOR, InverseSettings(steps=2, batch_size=8, width=1), rng=rng())
    encoder = lt.fit_encoder(
        WAYS[way](inner),
        torch.randn(8, D),
        PRIOR,
        EncoderSettings(steps=2, batch_size=8, width=1),
        classifier=WAYS[way](classifier),
        start=inverse,
        rng=rng(),
    )
    assert encoder.report.data is not None
    assert_untouched(inner, before[0])
    assert_untouched(classifier, before[1])


def out_of_sight(inner: nn.Module) -> Callable[[Tensor], Tensor]:
    """As an extension in C would hold it: by its address."""
    address = id(inner)
    return lambda x: ctypes.cast(address, ctypes.py_object).value(x)


class TurnsItself(nn.Module):
    """Turns to train mode when it is called."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.train().inner(x)


@pytest.mark.parametrize("hide", [out_of_sight, TurnsItself])
@pytest.mark.parametrize(
    "use",
    [
        lambda f: lt.recover_codes(f, torch.randn(2, D), PRIOR),
        lambda f: lt.recover_codes(lambda z: z, torch.randn(2, D), PRIOR, start=f),
        lambda f: lt.recover_codes(lambda z: z, torch.randn(2, D), PRIOR, difference=lt.metrics.Difference(operator=f)),
        lambda f: lt.recover_codes(lambda z: z, torch.randn(2, D), PRIOR, difference=lt.metrics.Difference(extractor=f)),
        lambda f: lt.recover_codes(lambda z: z, torch.randn(2, D), PRIOR, regularizer=lambda z, prior: f(z).mean(1)),
        lambda f: lt.metrics.is_from(f, torch.randn(2, D), PRIOR),
        lambda f: lt.quasi_eigenvectors(f, lambda x: x, PRIOR),
        lambda f: lt.quasi_eigenvectors(lambda z: z, f, PRIOR),
        lambda f: lt.quasi_eigenvectors(lambda z: z, lambda x: x, PRIOR, encoder=f, x=torch.randn(8, D)),
        lambda f: lt.directions.activation_directions(f, PRIOR, samples=20),
        lambda f: lt.evaluate_samples(torch.randn(30, D), torch.randn(30, D), f),
        lambda f: lt.evaluate_paths(f, PRIOR, metric=lambda x, _: 0.0, count=4),
        lambda f: label_map(torch.eye(D), f),
        lambda f: monotonicity(f, lambda x: x[:, 0], torch.randn(4, D), torch.ones(D)),
        lambda f: lt.fit_inverse(f, PRIOR, InverseSettings(steps=1)),
        lambda f: lt.fit_encoder(lambda z: z, torch.randn(4, D), PRIOR, EncoderSettings(steps=1), classifier=f),
    ],
)
def test_what_cannot_be_held_is_refused_before_it_changes(use: Callable[[Any], Any], hide: Way) -> None:
    inner = network()
    hidden = hide(inner)
    before = state(inner)
    with pytest.raises(ValueError, match="to change nothing when it is called"):
        use(hidden)
    for name, value in inner.state_dict().items():
        assert torch.equal(value, before[2][name]), name


def test_a_trial_puts_back_what_an_error_interrupts() -> None:
    inner = network()
    before = state(inner)

    def broken(x: Tensor) -> Tensor:
        inner(x)
        raise RuntimeError("no third layer")

    with pytest.raises(ValueError, match=r"shape \(3, 4\), got RuntimeError: no third layer"):
        tried(broken, torch.randn(3, D))
    assert_untouched(inner, before)


def test_who_writes_to_its_input_is_refused_and_the_input_stays() -> None:
    x = torch.randn(30, D)
    before = x.clone()
    with pytest.raises(ValueError, match="leave its input as it is"):
        lt.evaluate_samples(x, torch.randn(30, D), lambda x: x.sub_(1))
    assert torch.equal(x, before)


def test_what_a_call_makes_for_itself_may_change() -> None:
    kept = []

    def busy(x: Tensor) -> Tensor:
        kept.append(torch.tensor([1.0, 2.0]).mul_(2))
        scratch = torch.zeros_like(x).add_(x)
        scratch[:, 0].relu_()
        return torch.relu_(x + 1) + torch.tensor(1.0).neg_() * scratch

    tried(busy, torch.randn(3, D))
    assert torch.equal(kept[0], torch.tensor([2.0, 4.0]))


def test_a_buffer_that_is_replaced_comes_back() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            self.calls = self.calls + 1
            return x

    counting = Counting()
    calls = counting.calls
    with evaluated(lambda x: counting(x)) as (call,):
        call(torch.ones(1))
    assert counting.calls is calls
    assert calls.item() == 0


def test_one_within_another_and_two_at_once_leave_the_modes_alone() -> None:
    inner = network()
    before = state(inner)
    with evaluated(inner):
        with evaluated(lambda x: inner(x)):
            pass
        assert not any(part.training for part in inner.modules())
    assert_untouched(inner, before)

    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        with evaluated(inner):
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with evaluated(inner):
        thread.start()
        entered.wait(10)
    assert not any(part.training for part in inner.modules())  # the other one still looks at it
    leave.set()
    thread.join()
    assert_untouched(inner, before)


def test_a_network_that_no_code_reaches_is_left_alone() -> None:
    other = network()
    with evaluated(lambda x: x + 1, torch.sin, None, 3, Plain(lambda x: x)):
        assert other.training
    assert modules_behind(lambda x: x + 1) == []


def test_codes_take_the_type_of_the_weights_behind_a_lambda() -> None:
    inner = network().double()
    assert weights_like(lambda z: inner(z), torch.empty(0)).dtype == torch.float64
    assert weights_like(lambda z: z, torch.empty(0)).dtype == torch.float32
    mixed = functools.partial(lambda a, b, z: b(a(z).float()), inner, network())
    assert weights_like(mixed, torch.empty(0, dtype=torch.float16)).dtype == torch.float16
    assert (
        lt.directions.activation_directions(lambda z: inner(z), PRIOR, samples=20, components=1).vectors.dtype
        == torch.float32
    )


class OnePixel(nn.Module):
    """Wants codes as images of one pixel, as a DCGAN does."""

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        kind: Any = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[dimensions - 1]
        norm: Any = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[dimensions - 1]
        self.body = nn.Sequential(kind(D, 3, 2), norm(3), nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        return self.body(z)


ON_CODES = {
    "recover_codes": lambda g: (
        lt.recover_codes(g, torch.zeros(2, 3, 2, 2), PRIOR, solver=lt.solvers.Adam(steps=1), restarts=1).z
    ),
    "is_from": lambda g: (
        lt.metrics.is_from(
            g, torch.zeros(2, 3, 2, 2), PRIOR, calibration=19, solver=lt.solvers.Adam(steps=1), restarts=1, eight_bit=False
        ).z
    ),
    "quasi_eigenvectors": lambda g: (
        lt.quasi_eigenvectors(g, lambda x: x.flatten(1)[:, :2], PRIOR, per_label=5, fewest=1, rng=rng()).vectors
    ),
    "activation_directions": lambda g: (
        lt.directions.activation_directions(g, PRIOR, samples=20, components=2, rng=rng()).vectors
    ),
    "evaluate_paths": lambda g: torch.tensor(
        lt.evaluate_paths(g, PRIOR, metric=lambda x, _: x.mean().item(), count=4, t=(0.5,), rng=rng())[0].samples
    ),
    "label_map": lambda g: label_map(torch.eye(D), lambda z: g(z).flatten(1)).probability,
    "monotonicity": lambda g: monotonicity(g, lambda x: x.mean((1, 2, 3)), torch.eye(D), torch.ones(D)).values,
    "fit_inverse": lambda g: torch.tensor(
        lt.fit_inverse(g, PRIOR, InverseSettings(steps=1, width=1, batch_size=4)).report.code_error
    ),
}


@pytest.mark.parametrize("name", ON_CODES)
def test_a_network_of_images_of_one_pixel_works_in_a_lambda_and_alone_gets_the_lambda_named(name: str) -> None:
    inner = OnePixel(2)
    before = state(inner)
    assert ON_CODES[name](lambda z: inner(z[:, :, None, None])).isfinite().all()
    with pytest.raises(ValueError, match=r"wants \(n, 4, 1, 1\); wrap it: lambda z: g\(z\[:, :, None, None\]\)"):
        ON_CODES[name](inner)
    assert_untouched(inner, before)


class Reuses(nn.Module):
    """Returns the tensor of the call before, with other values."""

    def __init__(self) -> None:
        super().__init__()
        self.out: Tensor | None = None

    def forward(self, z: Tensor) -> Tensor:
        x = z * 2
        if self.out is None or self.out.shape != x.shape:
            self.out = torch.zeros_like(x)
        return self.out.copy_(x)


def test_a_generator_returns_a_new_tensor_of_real_numbers() -> None:
    with pytest.raises(ValueError, match="expected a generator that returns a new tensor at each call"):
        require_generator(Reuses(), torch.randn(3, D))
    kept = torch.zeros(200, D)
    for use in (ON_CODES["recover_codes"], ON_CODES["is_from"]):
        with pytest.raises(ValueError, match="new tensor at each call, got one that writes to a given one by out="):
            use(lambda z: torch.mul(z, 2, out=kept[: len(z)])[:, :3, None, None].expand(-1, -1, 2, 2))
    with pytest.raises(ValueError, match=r"expected real numbers from the generator, got torch\.complex64"):
        require_generator(lambda z: torch.complex(z, z), torch.randn(3, D))


@pytest.mark.parametrize(("dimensions", "axes"), [(1, ", None"), (3, ", None, None, None")])
def test_signals_and_volumes_of_one_element_get_their_own_lambda_named(dimensions: int, axes: str) -> None:
    with (
        pytest.raises(ValueError, match=rf"wrap it: lambda z: g\(z\[:, :{axes}\]\)"),
        evaluated(OnePixel(dimensions)) as (g,),
    ):
        require_generator(g, torch.randn(3, D))


def test_a_network_for_codes_of_another_length_says_so() -> None:
    with pytest.raises(ValueError, match="expected codes of length 5, as Linear takes them, got codes of length 4"):
        lt.recover_codes(nn.Linear(D + 1, 2), torch.randn(2, 2), PRIOR)


def scripted(inner: nn.Module) -> Any:
    return torch.jit.script(inner)


def traced(inner: nn.Module) -> Any:
    return torch.jit.trace(inner.eval(), torch.randn(2, D))


def frozen(inner: nn.Module) -> Any:
    return torch.jit.freeze(torch.jit.script(inner.eval()))


def loaded(inner: nn.Module) -> Any:
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(inner), file)
    file.seek(0)
    return torch.jit.load(file)


def exported(inner: nn.Module) -> Any:
    rows = ({0: torch.export.Dim("n")},)
    return torch.export.export(inner.eval(), (torch.randn(3, D),), dynamic_shapes=rows).module()


@pytest.mark.parametrize("way", [scripted, traced, frozen, loaded, exported])
@pytest.mark.parametrize("function", [recovered, a_basis, an_extractor, a_start], ids=lambda function: function.__name__)
def test_compiled_modules_are_modules(function: Callable[[Way], Tensor], way: Way) -> None:
    assert_close(function(way), function(lambda inner: inner.eval()), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("way", [scripted, traced, frozen, loaded, exported])
def test_an_image_of_a_compiled_generator_is_from_it(way: Way) -> None:
    x = network().eval()(PRIOR.sample(1, rng=rng())).detach()
    solver = lt.solvers.LevenbergMarquardt(steps=15)
    found = lt.metrics.is_from(
        way(network()), x, PRIOR, calibration=19, solver=solver, restarts=1, eight_bit=False, rng=rng()
    )
    assert found.p_value.item() > 0.05


def test_a_scripted_module_comes_back_in_its_own_mode() -> None:
    inner = torch.jit.script(network())
    before = state(inner)
    with evaluated(lambda x: inner(x)):
        assert not any(part.training for part in inner.modules())
        assert not any(parameter.requires_grad for parameter in inner.parameters())
    assert_untouched(inner, before)


def test_a_module_exported_in_train_mode_is_refused_unharmed() -> None:
    rows = ({0: torch.export.Dim("n")},)
    inner = torch.export.export(network(), (torch.randn(3, D),), dynamic_shapes=rows).module()
    before = {name: value.clone() for name, value in inner.state_dict().items()}
    with pytest.raises(ValueError, match="to change nothing when it is called"):
        lt.recover_codes(inner, torch.randn(2, D), PRIOR)
    assert all(torch.equal(value, before[name]) for name, value in inner.state_dict().items())


def test_a_module_exported_for_one_size_of_batch_is_told_to_take_any() -> None:
    inner = torch.export.export(network().eval(), (torch.randn(3, D),)).module()
    with pytest.raises(ValueError, match="any number of codes, got one that refuses 2 after it took 3"):
        lt.recover_codes(inner, torch.randn(2, D), PRIOR)


def test_results_of_copies_agree_with_those_of_their_originals() -> None:
    inner = network()
    assert torch.equal(recovered(lambda _: inner), recovered(lambda _: deepcopy(inner)))
