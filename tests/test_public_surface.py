"""The public names have one order of arguments, and one meaning for each of them."""

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from public_names import public_names

import latentry as lt

ORDER = ("generator", "classifier", "x", "z", "prior", "y", "settings")
"""Arguments by position: what makes data, the data or their codes, the prior, labels; last the settings of a training."""
KEYWORDS = {
    "rng",
    "progress",
    "callback",
    "checkpoint",
    "device",
    "batch_size",
    "count",
    "restarts",
    "mask",
    "start",
    "unit",
}
"""Arguments that have a name in every call."""
FUNCTIONS = sorted(name for name, thing in public_names().items() if inspect.isfunction(inspect.unwrap(thing)))


def parameters(name: str) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(inspect.unwrap(public_names()[name])).parameters)


def positional(name: str) -> list[str]:
    return [one for one, parameter in parameters(name).items() if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]


def defaults(argument: str) -> Iterator[tuple[str, Any]]:
    for name in FUNCTIONS:
        if argument in parameters(name):
            yield name, parameters(name)[argument].default


def test_there_are_about_25_names_at_the_top_and_the_rest_have_a_namespace() -> None:
    namespaces = [name for name in lt.__all__ if inspect.ismodule(getattr(lt, name))]
    assert len(lt.__all__) - len(namespaces) <= 26
    assert {"data", "directions", "encoders", "metrics", "operators", "priors", "regularizers", "solvers"} <= {*namespaces}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_arguments_come_in_one_order(name: str) -> None:
    """A generator, then data or their codes, then the prior, then labels; the rest has its name in the call."""
    known = [argument for argument in positional(name) if argument in ORDER]
    assert known == sorted(known, key=ORDER.index)
    assert not KEYWORDS & {*positional(name)}
    flags = [one for one in positional(name) if isinstance(parameters(name)[one].default, bool)]
    assert not flags, "what is true or false has its name in every call"


def test_no_source_of_randomness_is_torchs_default_one() -> None:
    """`rng=None` everywhere; the trainings take a seed as well, and find it beside their checkpoints."""
    assert {default for _, default in defaults("rng")} == {None}
    kinds = {name: str(parameters(name)["rng"].annotation) for name, _ in defaults("rng")}
    assert {name for name, kind in kinds.items() if "int" in kind} == {
        "fit_classifier", "fit_conditional", "fit_encoder", "fit_gan", "fit_inverse", "fit_label_split", "fit_semantic"
    }  # fmt: skip


def test_without_rng_torchs_default_generator_decides() -> None:
    prior, z, quick = lt.priors.Normal(3), torch.randn(8, 3), lt.solvers.Adam(steps=2)
    drawn = {
        "random_directions": lambda: lt.directions.random_directions(prior).vectors,
        "keep_share": lambda: lt.measurements.keep_share((40,), 0.5),
        "recover_codes": lambda: lt.recover_codes(torch.sin, z, prior, solver=quick, restarts=1, progress=None).z,
        "sample": lambda: prior.sample(4),
    }
    for name, draw in drawn.items():
        torch.manual_seed(1)
        first = draw()
        torch.manual_seed(1)
        assert torch.equal(first, draw()), name


def test_what_takes_long_shows_its_progress_and_everything_that_trains_resumes() -> None:
    assert {default for _, default in defaults("progress")} == {True}
    trainings = {name for name in FUNCTIONS if name.startswith("fit_") and "settings" in parameters(name)}
    for argument, default in {"rng": None, "progress": True, "callback": None, "checkpoint": None}.items():
        assert {name: value for name, value in defaults(argument) if name in trainings} == dict.fromkeys(trainings, default)
    for name in trainings:
        assert {"steps", "learning_rate"}.isdisjoint(parameters(name)), "these are in the settings"


def test_steps_are_the_most_iterations_of_a_solver_and_a_learning_rate_is_its_highest() -> None:
    solvers = (lt.solvers.Adam, lt.solvers.LBFGS, lt.solvers.LevenbergMarquardt)
    assert all(isinstance(solver().steps, int) for solver in solvers)
    assert lt.solvers.Adam().learning_rate > 0
    settings = (lt.settings.GANSettings, lt.settings.ClassifierSettings, lt.settings.InverseSettings)
    assert all(isinstance(one().steps, int) for one in settings)
