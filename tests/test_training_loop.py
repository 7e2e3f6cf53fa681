"""A run that was stopped, however rudely, ends as one that was not; and the loop's steps are those of a hand-rolled one.

The toys: a line with a least-squares answer, and a tiny GAN on random pictures. `NoisyLine` draws its noise from `rng` and
its dropout from torch's global generator, so that both random states show in every bit of the result.
"""

import json
import math
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.testing import assert_close

from latentry import storage
from latentry.models.gan import GANTraining
from latentry.models.settings import GANSettings
from latentry.networks import DCGANDiscriminator, DCGANGenerator
from latentry.priors import Normal
from latentry.storage import read_json, read_tensors
from latentry.training.averaging import averaged_copy
from latentry.training.checkpoints import read_checkpoint, saved_checkpoints, write_checkpoint
from latentry.training.loop import Trainable, Trained, TrainingDivergedError, Update, optimizer_update, train
from latentry.training.settings import LoopSettings

IDENTITY = {"model": "toy", "betas": (0.5, 0.9), "note": None}
SETTINGS = LoopSettings(steps=12, batch_size=8, checkpoint_every=3)


class Table:
    """Rows of tensors, as the loop draws them."""

    def __init__(self, *columns: Tensor) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns[0])

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, ...]:
        return tuple(column[indices] for column in self.columns)


def line_data(n: int = 40) -> Table:
    rng = torch.Generator().manual_seed(11)
    x = torch.randn(n, 3, generator=rng)
    return Table(x, x @ torch.tensor([[1.0], [-2.0], [0.5]]) + 3 + 0.1 * torch.randn(n, 1, generator=rng))


def picture_data() -> Table:
    return Table(torch.rand(40, 1, 28, 28, generator=torch.Generator().manual_seed(12)) * 2 - 1, torch.zeros(40))


class NoisyLine:
    """y = a x + b by gradient descent, with or without noise, dropout and an adversary that strikes at a step."""

    def __init__(
        self,
        optimizer: Callable[[Any], Optimizer] = lambda parameters: Adam(parameters, lr=0.05),
        noise: float = 0.3,
        dropout: float = 0.4,
        strike: Callable[[int, Tensor], Tensor] = lambda turn, loss: loss,
    ) -> None:
        torch.manual_seed(1)
        line = nn.Sequential(nn.Dropout(dropout), nn.BatchNorm1d(3), nn.Linear(3, 1)) if dropout else nn.Linear(3, 1)
        self.networks: dict[str, nn.Module] = {"line": line}
        self.averages = {"line": averaged_copy(line, 0.9)}
        self.optimizers = {"line": optimizer(line.parameters())}
        self.noise, self.strike, self.turn = noise, strike, 0

    def step(self, batch: Any, rng: torch.Generator, update: Update) -> dict[str, Tensor]:
        x, y = batch
        self.turn += 1
        x = x + self.noise * torch.randn(x.shape, generator=rng)
        loss = self.strike(self.turn, (self.networks["line"](x) - y).square().mean())
        update({"line": loss})
        return {"line": loss}


def quiet_line(**changes: Any) -> NoisyLine:
    return NoisyLine(**{"optimizer": lambda p: SGD(p, lr=0.1), "noise": 0.0, "dropout": 0.0, **changes})


_GAN = GANSettings(r1=1.0, r1_every=2, generator_learning_rate=1e-3, discriminator_learning_rate=1e-3)


def tiny_gan(memory_format: torch.memory_format = torch.contiguous_format) -> GANTraining:
    torch.manual_seed(2)
    generator = DCGANGenerator(4, 28, 1, 2).to(memory_format=memory_format)  # type: ignore[call-overload]
    discriminator = DCGANDiscriminator(28, 1, 2, "spectral").to(memory_format=memory_format)  # type: ignore[call-overload]
    return GANTraining(generator, discriminator, Normal(4), _GAN)


TOYS: dict[str, tuple[Callable[[], Trainable], Callable[[], Table]]] = {
    "Adam": (NoisyLine, line_data),
    "AdamW": (lambda: NoisyLine(lambda p: AdamW(p, lr=0.05, amsgrad=True)), line_data),
    "SGD": (lambda: NoisyLine(lambda p: SGD(p, lr=0.05)), line_data),
    "momentum": (lambda: NoisyLine(lambda p: SGD(p, lr=0.05, momentum=0.9)), line_data),
    "GAN": (tiny_gan, picture_data),
    "GAN, channels last": (lambda: tiny_gan(torch.channels_last), picture_data),
}
toys = pytest.mark.parametrize("toy", TOYS)


def run(
    model: Trainable,
    data: Table,
    folder: Path,
    at_checkpoint: Callable[[int], None] = lambda step: None,
    identity: dict[str, Any] = IDENTITY,
    **changes: Any,
) -> Trained:
    settings = LoopSettings(**{**vars(SETTINGS), **changes})
    accelerator = Accelerator(cpu=True)
    return train(
        model, data, settings, folder, seed=5, accelerator=accelerator, identity=identity, at_checkpoint=at_checkpoint
    )


def contents(checkpoint: Path) -> dict[str, Any]:
    """Weights, averages, optimisers, random states and notes, bit for bit."""
    return {
        path.name: read_json(path)
        if path.suffix == ".json"
        else {name: (str(t.dtype), t.tolist()) for name, t in read_tensors(path).items()}
        for path in checkpoint.iterdir()
    }


def last(folder: Path) -> dict[str, Any]:
    return contents(saved_checkpoints(folder / "checkpoints")[-1])


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """As in the child processes: bits are promised at an equal thread count."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of a toy's run that nothing disturbed."""
    done: dict[str, Path] = {}

    def folder(toy: str) -> Path:
        if toy not in done:
            done[toy] = tmp_path_factory.mktemp(toy)
            model, data = TOYS[toy]
            run(model(), data(), done[toy])
        return done[toy]

    return folder


# ---------------------------------------------------------------------------------------------------------------- resume


class PowerCut(BaseException):
    """Nothing in the loop catches this."""


def cut_at(step: int, model: Trainable) -> Trainable:
    """The power goes after the last update of a step, before its checkpoint."""
    inner, turns = model.step, iter(range(1, 1000))

    def cut(batch: Any, rng: torch.Generator, update: Update) -> dict[str, Tensor]:
        shown = inner(batch, rng, update)
        if next(turns) == step:
            raise PowerCut
        return shown

    model.step = cut  # type: ignore[method-assign]
    return model


@toys
@pytest.mark.parametrize("step", [2, 8])
def test_a_run_cut_short_and_resumed_ends_bit_for_bit_as_one_that_was_not(
    toy: str, step: int, tmp_path: Path, unbroken: Callable[[str], Path]
) -> None:
    model, data = TOYS[toy]
    with pytest.raises(PowerCut):
        run(cut_at(step, model()), data(), tmp_path)
    torch.manual_seed(77)  # another process would not be where this one was
    result = run(model(), data(), tmp_path)
    assert (result.resumed_from, result.steps) == (step // 3 * 3, 12)
    assert last(tmp_path) == last(unbroken(toy))


@toys
def test_a_run_in_two_lengths_ends_bit_for_bit_as_one(toy: str, tmp_path: Path, unbroken: Callable[[str], Path]) -> None:
    model, data = TOYS[toy]
    run(model(), data(), tmp_path, steps=6)
    assert run(model(), data(), tmp_path).resumed_from == 6
    assert last(tmp_path) == last(unbroken(toy))


def test_several_cuts_in_a_row_leave_no_trace(tmp_path: Path, unbroken: Callable[[str], Path]) -> None:
    for step in (4, 1, 3, 2):
        with pytest.raises(PowerCut):
            run(cut_at(step, NoisyLine()), line_data(), tmp_path)
    run(NoisyLine(), line_data(), tmp_path)
    assert last(tmp_path) == last(unbroken("Adam"))


def test_the_toy_feels_both_random_states(tmp_path: Path, unbroken: Callable[[str], Path]) -> None:
    """Else the tests above would prove little."""
    for name, model in {"rng": NoisyLine(noise=0.31), "global": NoisyLine(dropout=0.41)}.items():
        run(model, line_data(), tmp_path / name)
        assert last(tmp_path / name)["state.safetensors"] != last(unbroken("Adam"))["state.safetensors"]


@pytest.mark.parametrize("stop", [None, 8])
def test_validation_that_draws_at_random_never_changes_the_course(
    stop: int | None, tmp_path: Path, unbroken: Callable[[str], Path]
) -> None:
    def validate(step: int) -> None:
        torch.rand(step)

    if stop is not None:
        with pytest.raises(PowerCut):
            run(cut_at(stop, NoisyLine()), line_data(), tmp_path, validate)
    run(NoisyLine(), line_data(), tmp_path, validate)
    assert last(tmp_path) == last(unbroken("Adam"))


def test_a_run_killed_before_its_validation_makes_up_for_it(tmp_path: Path) -> None:
    def killed(step: int) -> None:
        if step == 12:
            raise PowerCut

    with pytest.raises(PowerCut):
        run(NoisyLine(), line_data(), tmp_path, killed)
    seen: list[int] = []
    result = run(NoisyLine(), line_data(), tmp_path, seen.append)
    assert (result.resumed_from, seen) == (12, [12])


@pytest.mark.parametrize("workers", [1])
def test_reading_ahead_changes_no_bit(workers: int, tmp_path: Path, unbroken: Callable[[str], Path]) -> None:
    run(NoisyLine(), line_data(), tmp_path, workers=workers)
    assert last(tmp_path) == last(unbroken("Adam"))


CHILD = """
import sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
sys.path.insert(0, {tests!r})
import test_training_loop as toys

class Slow(toys.Table):
    def __getitems__(self, indices):
        time.sleep(0.1)
        return super().__getitems__(indices)

toys.run(toys.NoisyLine(), Slow(*toys.line_data().columns), Path({folder!r}), steps=60)
"""


def test_a_run_killed_by_the_system_and_resumed_ends_bit_for_bit_as_one_that_was_not(tmp_path: Path) -> None:
    script = CHILD.format(tests=str(Path(__file__).parent), folder=str(tmp_path / "killed"))
    child = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE)
    try:
        patience = time.monotonic() + 120
        while not saved_checkpoints(tmp_path / "killed" / "checkpoints"):
            assert child.poll() is None, child.stderr.read().decode()
            assert time.monotonic() < patience
            time.sleep(0.01)
    finally:
        child.kill()
        child.communicate()
    assert child.returncode == -signal.SIGKILL

    result = run(NoisyLine(), line_data(), tmp_path / "killed", steps=60)
    assert 0 < result.resumed_from < 60
    run(NoisyLine(), line_data(), tmp_path / "whole", steps=60)
    assert last(tmp_path / "killed") == last(tmp_path / "whole")


def test_a_torn_checkpoint_is_passed_over(tmp_path: Path, unbroken: Callable[[str], Path]) -> None:
    run(NoisyLine(), line_data(), tmp_path, steps=9)
    torn = tmp_path / "checkpoints" / "step-00000009"
    (torn / "state.json").unlink()
    (torn / "state.safetensors").write_bytes(b"half")
    assert run(NoisyLine(), line_data(), tmp_path).resumed_from == 6
    assert last(tmp_path) == last(unbroken("Adam"))


# ----------------------------------------------------------------------------------------------------- broken checkpoints


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[2 * len(content) // 3] ^= 1
    path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "a bit": flipped,
    "half of it": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "all of it": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize("name", ["state.safetensors", "random-0.safetensors", "state.json"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_run_goes_on_from_before_a_broken_checkpoint_and_says_so(
    name: str, damage: str, tmp_path: Path, unbroken: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run(NoisyLine(), line_data(), tmp_path, steps=9)
    broken = tmp_path / "checkpoints" / "step-00000009"
    DAMAGES[damage](broken / name)
    capsys.readouterr()
    assert run(NoisyLine(), line_data(), tmp_path).resumed_from == 6
    assert last(tmp_path) == last(unbroken("Adam"))
    said = [line for line in capsys.readouterr().err.splitlines() if "broken" in line]
    assert len(said) == 1
    assert str(broken / name) in said[0]
    assert "step-00000006" in said[0]


def test_a_run_without_any_whole_checkpoint_is_refused_and_loses_none(tmp_path: Path) -> None:
    run(NoisyLine(), line_data(), tmp_path)
    for path in saved_checkpoints(tmp_path / "checkpoints"):
        flipped(path / "state.safetensors")
    before = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    with pytest.raises(ValueError, match=r"expected a whole checkpoint in .* remove that folder to begin anew"):
        run(NoisyLine(), line_data(), tmp_path, steps=20)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == before


MISFITS: dict[str, Callable[[dict[str, Any], dict[str, Tensor]], Any]] = {
    "no step": lambda content, tensors: content.pop("step"),
    "step is a word": lambda content, tensors: content.update(step="nine"),
    "no identity": lambda content, tensors: content.update(identity=None),
    "optimizers of others": lambda content, tensors: content.update(optimizers={"line": []}),
    "no optimizers": lambda content, tensors: content.update(optimizers=3),
    "another shape": lambda content, tensors: tensors.update({"network/line/2.weight": torch.zeros(7, 7)}),
    "no weights": lambda content, tensors: tensors.clear(),
    "sums of nothing": lambda content, tensors: content.update(summed=["line", 3]),
}


@pytest.mark.parametrize("misfit", MISFITS)
def test_a_whole_checkpoint_that_does_not_fit_is_refused_by_its_name(misfit: str, tmp_path: Path) -> None:
    run(NoisyLine(), line_data(), tmp_path, steps=3)
    (path,) = saved_checkpoints(tmp_path / "checkpoints")
    tensors, content = read_checkpoint(path)
    MISFITS[misfit](content, tensors)
    write_checkpoint(path, tensors, content)
    with pytest.raises(ValueError, match=path.name):
        run(NoisyLine(), line_data(), tmp_path)


def test_fewer_steps_than_a_checkpoint_has_are_refused(tmp_path: Path) -> None:
    run(NoisyLine(), line_data(), tmp_path, steps=6)
    with pytest.raises(ValueError, match="has 6 steps behind it, more than the 4 of the settings; set 6 steps or more"):
        run(NoisyLine(), line_data(), tmp_path, steps=4)


def test_what_a_kill_left_half_written_goes_at_the_next_run(tmp_path: Path) -> None:
    run(NoisyLine(), line_data(), tmp_path, steps=6)
    torn = tmp_path / "checkpoints" / "step-00000007"
    torn.mkdir()
    (torn / "state.safetensors").write_bytes(b"half")
    for place in (tmp_path / "checkpoints", tmp_path / "checkpoints" / "step-00000006"):
        (place / ".latentry-0123.safetensors").write_bytes(b"half")
    run(NoisyLine(), line_data(), tmp_path)
    assert sorted(path.name for path in (tmp_path / "checkpoints").rglob("*") if path.is_file()) == sorted(
        2 * ["state.json", "state.safetensors", "random-0.safetensors"]
    )


def test_two_runs_in_one_folder_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_PATIENCE", 0.0)
    refused: list[str] = []

    def second(step: int) -> None:
        with pytest.raises(ValueError, match="another run is at work") as caught:
            run(NoisyLine(), line_data(), tmp_path)
        refused.append(str(caught.value))

    run(NoisyLine(), line_data(), tmp_path, second, steps=6)
    assert len(refused) == 2
    run(NoisyLine(), line_data(), tmp_path, steps=9)  # none holds it any more


# ------------------------------------------------------------------------------------------------- checkpoints in between


@pytest.mark.parametrize("stop", [None, 2, 8, 11])
def test_checkpoints_by_the_clock_lose_one_step_at_most_and_change_no_bit(
    stop: int | None, tmp_path: Path, unbroken: Callable[[str], Path]
) -> None:
    seen: list[int] = []
    if stop is not None:
        with pytest.raises(PowerCut):
            run(cut_at(stop, NoisyLine()), line_data(), tmp_path, seen.append, checkpoint_seconds=0.0)
    result = run(NoisyLine(), line_data(), tmp_path, seen.append, checkpoint_seconds=0.0)
    assert result.resumed_from == (0 if stop is None else stop - 1)
    assert seen == [3, 6, 9, 12]
    assert last(tmp_path) == last(unbroken("Adam"))


def test_no_checkpoint_is_made_before_it_is_due(tmp_path: Path) -> None:
    run(NoisyLine(), line_data(), tmp_path, steps=7, checkpoint_every=7, keep_checkpoints=9)
    assert len(saved_checkpoints(tmp_path / "checkpoints")) == 1
    run(NoisyLine(), line_data(), tmp_path / "due", steps=7, checkpoint_every=7, keep_checkpoints=9, checkpoint_seconds=0.0)
    assert len(saved_checkpoints(tmp_path / "due" / "checkpoints")) == 7


# ----------------------------------------------------------------------------------------------------------- checkpoints


@pytest.mark.parametrize("keep", [2, 3])
def test_old_checkpoints_go(keep: int, tmp_path: Path) -> None:
    run(NoisyLine(), line_data(), tmp_path, keep_checkpoints=keep)
    names = [path.name for path in saved_checkpoints(tmp_path / "checkpoints")]
    assert names == ["step-00000006", "step-00000009", "step-00000012"][-keep:]
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == names


@toys
def test_a_checkpoint_holds_tensors_and_json_and_nothing_to_unpickle(toy: str, unbroken: Callable[[str], Path]) -> None:
    files = [path for path in unbroken(toy).rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"state.json", "state.safetensors", "random-0.safetensors"}
    for path in files:
        assert not path.read_bytes().startswith((b"PK", b"\x80"))


def test_the_last_step_is_saved_and_validated_though_the_interval_does_not_divide(tmp_path: Path) -> None:
    seen: list[int] = []
    run(NoisyLine(), line_data(), tmp_path, seen.append, steps=8)
    assert seen == [3, 6, 8]
    assert saved_checkpoints(tmp_path / "checkpoints")[-1].name == "step-00000008"


def test_losses_are_means_since_the_checkpoint_before(tmp_path: Path) -> None:
    def numbered(turn: int, loss: Tensor) -> Tensor:
        return loss - loss.detach() + turn

    assert run(quiet_line(strike=numbered), line_data(), tmp_path / "a", steps=8).losses == {"line": [2.0, 5.0, 7.5]}
    assert run(quiet_line(strike=numbered), line_data(), tmp_path / "b", steps=5).losses == {"line": [2.0, 4.5]}
    resumed = run(quiet_line(strike=numbered), line_data(), tmp_path / "b", steps=8)  # its turns count from 1 again
    assert resumed.losses == {"line": [2.0, 4.5, 1.0, 2.5]}


def test_a_checkpoint_of_other_settings_is_refused_by_their_names(tmp_path: Path) -> None:
    run(NoisyLine(), line_data(), tmp_path, steps=3)
    before = contents(tmp_path / "checkpoints" / "step-00000003")
    other = {"model": "toy", "betas": (0.5, 0.99), "lr": 1}
    with pytest.raises(ValueError, match=r"other settings \(betas, lr\); restore them to go on"):
        run(NoisyLine(), line_data(), tmp_path, identity=other)
    assert contents(tmp_path / "checkpoints" / "step-00000003") == before


def test_a_checkpoint_of_another_number_of_processes_is_refused(tmp_path: Path) -> None:
    run(NoisyLine(), line_data(), tmp_path, steps=3)
    states = tmp_path / "checkpoints" / "step-00000003"
    (states / "random-1.safetensors").write_bytes((states / "random-0.safetensors").read_bytes())
    with pytest.raises(ValueError, match="written by 2 processes, this run has 1; resume with as many"):
        run(NoisyLine(), line_data(), tmp_path)


# ------------------------------------------------------------------------------------------------------------ divergence


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stops_the_run_with_advice(value: float, tmp_path: Path) -> None:
    model = NoisyLine(strike=lambda turn, loss: loss * value if turn == 8 else loss)
    with pytest.raises(TrainingDivergedError) as caught:
        run(model, line_data(), tmp_path)
    good = tmp_path / "checkpoints" / "step-00000006"
    for part in (f"the line loss became {value}", "at step 8", f"last good checkpoint is {good}", "lower learning rate"):
        assert part in str(caught.value)
    assert saved_checkpoints(tmp_path / "checkpoints")[-1] == good
    assert all(tensor.isfinite().all() for tensor in read_tensors(good / "state.safetensors").values())


def test_without_a_checkpoint_the_advice_says_so(tmp_path: Path) -> None:
    with pytest.raises(TrainingDivergedError, match="at step 1; there is no checkpoint yet"):
        run(NoisyLine(strike=lambda turn, loss: loss * math.nan), line_data(), tmp_path)


@pytest.mark.parametrize("turn", [7, 9])
def test_weights_that_are_no_numbers_are_never_saved(turn: int, tmp_path: Path) -> None:
    """The loss is finite, its gradient is not: the root of zero."""
    model = NoisyLine(strike=lambda now, loss: loss + (0 * loss).sqrt() if now == turn else loss)
    with pytest.raises(TrainingDivergedError, match=f"at step {max(8, turn)}; the last good checkpoint is .*00000006"):
        run(model, line_data(), tmp_path)
    (*_, good) = saved_checkpoints(tmp_path / "checkpoints")
    assert good.name == "step-00000006"
    assert all(tensor.isfinite().all() for tensor in read_tensors(good / "state.safetensors").values())


def test_data_of_less_than_a_batch_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one batch of 8 items, got 7"):
        run(NoisyLine(), line_data(7), tmp_path)


@pytest.mark.parametrize(
    ("name", "least"),
    [("steps", 1), ("batch_size", 1), ("checkpoint_every", 1), ("keep_checkpoints", 2), ("workers", 0)],
)
def test_settings_outside_their_range_are_refused(name: str, least: int) -> None:
    LoopSettings(**{name: least})
    with pytest.raises(ValueError, match=f"expected {name} >= {least}, got {least - 1}"):
        LoopSettings(**{name: least - 1})
    with pytest.raises(ValueError, match=f"expected {name} <= .*, got 1,000,000,000,000,000,000; .* slip"):
        LoopSettings(**{name: 10**18})


@pytest.mark.parametrize("seconds", [-1.0, math.nan])
def test_seconds_between_checkpoints_are_a_number_from_zero_on(seconds: float) -> None:
    with pytest.raises(ValueError, match="expected checkpoint_seconds"):
        LoopSettings(checkpoint_seconds=seconds)


# ----------------------------------------------------------------------------------------------------------------- steps


def test_full_batches_reach_the_least_squares_answer(tmp_path: Path) -> None:
    data = line_data()
    x, y = data.columns
    exact = torch.linalg.lstsq(torch.cat([x, torch.ones(len(x), 1)], 1).double(), y.double()).solution.flatten()
    model = quiet_line()
    run(model, data, tmp_path, steps=300, batch_size=40, checkpoint_every=300)
    line = model.networks["line"]
    assert_close(torch.cat([line.weight[0], line.bias]).double(), exact, rtol=1e-4, atol=1e-4)


def test_the_cosine_takes_the_rate_from_full_to_almost_nothing(tmp_path: Path) -> None:
    rates: list[float] = []

    def note(turn: int, loss: Tensor) -> Tensor:
        rates.append(model.optimizers["line"].param_groups[0]["lr"])
        return loss

    model = quiet_line(strike=note)
    run(model, line_data(), tmp_path, steps=4, schedule="cosine")
    assert_close(rates, [0.1, 0.05 * (1 + math.sqrt(0.5)), 0.05, 0.05 * (1 - math.sqrt(0.5))])

    rates.clear()
    model = quiet_line(strike=note)
    run(model, line_data(), tmp_path / "constant", steps=4)
    assert rates == [0.1] * 4


def test_a_cosine_run_cut_short_and_resumed_keeps_its_rates(tmp_path: Path) -> None:
    run(NoisyLine(), line_data(), tmp_path / "whole", schedule="cosine")
    with pytest.raises(PowerCut):
        run(cut_at(8, NoisyLine()), line_data(), tmp_path / "cut", schedule="cosine")
    run(NoisyLine(), line_data(), tmp_path / "cut", schedule="cosine")
    assert last(tmp_path / "cut") == last(tmp_path / "whole")


def test_each_step_begins_in_train_mode_and_moves_the_average(tmp_path: Path) -> None:
    model = NoisyLine()
    modes: list[bool] = []
    model.strike = lambda turn, loss: (modes.append(model.networks["line"].training), loss)[1]
    run(model, line_data(), tmp_path, at_checkpoint=lambda step: model.networks["line"].eval(), checkpoint_every=1, steps=4)
    assert modes == [True] * 4
    assert model.averages["line"].n_averaged == 4


@pytest.fixture
def half_precision() -> Iterator[Accelerator]:
    AcceleratorState._reset_state(reset_partial_state=True)
    yield Accelerator(cpu=True, mixed_precision="bf16")
    AcceleratorState._reset_state(reset_partial_state=True)


def test_mixed_precision_computes_in_half_and_keeps_weights_in_single(half_precision: Accelerator, tmp_path: Path) -> None:
    seen: list[torch.dtype] = []
    model = quiet_line()
    model.networks["line"].register_forward_hook(lambda line, given, predicted: seen.append(predicted.dtype))
    settings = LoopSettings(steps=3, batch_size=8, precision="bf16")
    train(model, line_data(), settings, tmp_path, seed=5, accelerator=half_precision, identity={})
    assert set(seen) == {torch.bfloat16}
    assert all(parameter.dtype == torch.float32 for parameter in model.networks["line"].parameters())


def test_tensorboard_gets_the_losses(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result = run(NoisyLine(), line_data(), tmp_path, tensorboard=True)
    (file,) = (tmp_path / "tensorboard").glob("events.out.tfevents.*")
    events = EventAccumulator(str(file)).Reload().Scalars("loss/line")
    assert [event.step for event in events] == [3, 6, 9, 12]
    assert_close([event.value for event in events], result.losses["line"], rtol=1e-6, atol=0)


# ------------------------------------------------------------------------------------------------------------- processes

RANK = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
sys.path.insert(0, {tests!r})
import test_training_loop as toys
from accelerate import Accelerator
from latentry.storage import write_json

accelerator, folder = Accelerator(cpu=True), Path({folder!r})
line, noisy, seen = toys.quiet_line(), toys.NoisyLine(), []
toys.run(line, toys.line_data(), folder / "line", seen.append)
gradient = [parameter.grad.flatten().tolist() for parameter in line.networks["line"].parameters()]
toys.run(noisy, toys.line_data(), folder / "noisy", steps=6)
again = toys.NoisyLine()
resumed = toys.run(again, toys.line_data(), folder / "noisy")
write_json(folder / f"rank-{{accelerator.process_index}}.json", {{
    "processes": accelerator.num_processes,
    "line": [parameter.flatten().tolist() for parameter in line.networks["line"].parameters()],
    "gradient": gradient,
    "noisy": [parameter.flatten().tolist() for parameter in again.networks["line"].parameters()],
    "average": [parameter.flatten().tolist() for parameter in again.averages["line"].parameters()],
    "resumed_from": resumed.resumed_from,
    "seen": seen,
}})
accelerator.end_training()
"""


def test_two_processes_make_the_steps_of_one(tmp_path: Path) -> None:
    script = tmp_path / "rank.py"
    script.write_text(RANK.format(tests=str(Path(__file__).parent), folder=str(tmp_path)))
    # accelerate starts several processes for --multi_gpu alone; on a machine without GPUs they are CPU processes
    options = "--multi_gpu --num_processes 2 --num_machines 1 --mixed_precision no --dynamo_backend no --main_process_port 0"
    launch = [sys.executable, "-m", "accelerate.commands.launch", *options.split(), str(script)]
    done = subprocess.run(launch, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    first, second = (json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in (0, 1))

    assert first["processes"] == second["processes"] == 2
    assert (first["seen"], second["seen"]) == ([3, 6, 9, 12], [])  # one process validates
    for name in ("line", "gradient", "noisy", "average"):
        assert first[name] == second[name]
    assert first["resumed_from"] == second["resumed_from"] == 6
    whole = saved_checkpoints(tmp_path / "noisy" / "checkpoints")[-1]
    assert read_tensors(whole / "random-0.safetensors")["rng"].ne(read_tensors(whole / "random-1.safetensors")["rng"]).any()

    alone = quiet_line()
    run(alone, line_data(), tmp_path / "alone")
    parameters = list(alone.networks["line"].parameters())
    assert_close([p.flatten().tolist() for p in parameters], first["line"], rtol=0, atol=1e-6)
    assert_close([p.grad.flatten().tolist() for p in parameters], first["gradient"], rtol=0, atol=1e-6)


# ---------------------------------------------------------------------------------------------------------------- updates


def two_weights() -> tuple[dict[str, Tensor], dict[str, SGD]]:
    weights = {"a": torch.tensor([2.0], requires_grad=True), "b": torch.tensor([3.0], requires_grad=True)}
    return weights, {name: SGD([weight], lr=1.0) for name, weight in weights.items()}


def test_all_gradients_of_an_update_are_taken_before_any_weight_moves() -> None:
    weights, optimizers = two_weights()
    product = weights["a"] * weights["b"]
    optimizer_update(optimizers)({"a": product.sum(), "b": product.square().sum()})
    assert weights["a"].item() == 2 - 3
    assert weights["b"].item() == 3 - 2 * 6 * 2


def test_optimisers_with_the_same_loss_share_one_backward_pass() -> None:
    weights, optimizers = two_weights()
    passes: list[Tensor] = []
    product = (weights["a"] * weights["b"]).sum()
    product.register_hook(passes.append)
    optimizer_update(optimizers)({"a": product, "b": product})
    assert len(passes) == 1
    assert (weights["a"].item(), weights["b"].item()) == (2 - 3, 3 - 2)


def test_fused_steps_are_plain_ones_however_weights_and_gradients_lie_in_memory() -> None:
    """Fused kernels read both as they lie: a gradient in rows, for weights with channels last, would be another one."""
    start, slopes = torch.randn(2, 6, 4, 3, 3, generator=torch.Generator().manual_seed(7)).unbind()
    ends = []
    for fused in (False, True):
        weight = start.clone(memory_format=torch.channels_last).requires_grad_()
        update = optimizer_update({"weight": Adam([weight], lr=0.1, fused=fused)})
        for sign in (1, 1, -1):
            update({"weight": (weight.contiguous() * sign * slopes).sum()})
        ends.append(weight.detach())
    assert_close(*ends, atol=1e-6, rtol=0)
    assert (ends[0] - start).abs().min() > 0.05


def test_a_loss_moves_no_parameters_but_those_of_its_optimiser() -> None:
    weights, optimizers = two_weights()
    optimizer_update(optimizers)({"a": (weights["a"] * weights["b"]).sum()})
    assert (weights["a"].item(), weights["b"].item()) == (-1, 3)
    assert weights["b"].grad is None
