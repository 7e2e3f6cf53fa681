"""Jitter that is none, a turn, a shift; labels read off a network that notices nothing; one training step."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample
from torch.testing import assert_close

from latentry.models.classifier import ClassifierTraining, jitter, predict_labels
from latentry.models.settings import ClassifierSettings
from latentry.networks import PlainClassifier


def extreme(monkeypatch: pytest.MonkeyPatch, *draws: float) -> None:
    """Turn, shear, size x, size y, move x, move y as shares of their extents, for every image."""

    def rand(rows: int, columns: int, **options: object) -> Tensor:
        return ((torch.tensor(draws) + 1) / 2)[:, None].expand(rows, columns)

    monkeypatch.setattr(torch, "rand", rand)


def pictures(n: int = 5, channels: int = 1, size: int = 8) -> Tensor:
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(5)) * 2 - 1


@pytest.mark.parametrize("channels", [1, 3])
def test_jitter_of_no_extent_is_the_identity(channels: int, rng: torch.Generator) -> None:
    x = pictures(channels=channels)
    assert_close(jitter(x, 0.0, 0.0, 0.0, rng), x, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("right", "down"), [(2, 0), (0, 2), (-2, 2), (2, -2), (0, 0)])
def test_a_pure_shift_moves_the_image_and_repeats_its_border(
    right: int, down: int, rng: torch.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = pictures()
    extreme(monkeypatch, 0, 0, 0, 0, -right / 2, -down / 2)
    rows, columns = ((torch.arange(8) - move).clamp(0, 7) for move in (down, right))
    assert_close(jitter(x, 0.0, 0.0, 2 / 8, rng), x[:, :, rows][:, :, :, columns], rtol=0, atol=1e-5)


@pytest.mark.parametrize("turns", [1, -1])
def test_a_quarter_turn_turns_the_image(turns: int, rng: torch.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    x = pictures()
    extreme(monkeypatch, turns, 0, 0, 0, 0, 0)
    assert_close(jitter(x, 90.0, 0.0, 0.0, rng), x.rot90(turns, (2, 3)), rtol=0, atol=1e-5)


def test_a_change_of_size_is_about_the_centre(rng: torch.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    x = pictures()
    grid = affine_grid(torch.tensor([[[0.5, 0, 0], [0, 0.5, 0]]]).expand(5, 2, 3), [5, 1, 8, 8], align_corners=False)
    extreme(monkeypatch, 0, 0, -1, -1, 0, 0)
    assert_close(jitter(x, 0.0, 0.5, 0.0, rng), grid_sample(x, grid, align_corners=False), rtol=0, atol=1e-5)


def test_each_image_has_its_own_jitter_and_the_rng_repeats_it() -> None:
    x = pictures(1).expand(6, 1, 8, 8)
    once, twice = (jitter(x, 10.0, 0.1, 0.1, torch.Generator().manual_seed(2)) for _ in range(2))
    assert torch.equal(once, twice)
    assert all((once[i] - once[j]).abs().max() > 0.01 for i in range(6) for j in range(i))
    assert once.min() >= x.min()
    assert once.max() <= x.max()


class Corner(nn.Module):
    """The class is the largest of the first pixels; dropout and batch statistics would spoil it in train mode."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.drop = nn.BatchNorm2d(1, affine=False), nn.Dropout(0.9)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.norm(x))[:, 0, 0, :3]


@pytest.mark.parametrize("batch_size", [1, 4, 1000])
def test_labels_and_confidence_are_read_in_eval_mode_in_any_batches(batch_size: int) -> None:
    network, x = Corner(), pictures(9)
    network.norm.eval()
    labels, confidence = predict_labels(network, x, batch_size)
    logits = x[:, 0, 0, :3] / math.sqrt(1 + network.norm.eps)
    assert torch.equal(labels, logits.argmax(1))
    assert_close(confidence, logits.softmax(1).max(1).values)
    assert not confidence.requires_grad
    assert (network.training, network.norm.training, network.drop.training) == (True, False, True)
    assert torch.equal(network.norm.running_mean, torch.zeros(1))


def test_predicting_leaves_the_flags_of_the_parameters() -> None:
    network = PlainClassifier(3, width=1)
    network.head.bias.requires_grad_(False)
    predict_labels(network, pictures())
    assert [name for name, p in network.named_parameters() if not p.requires_grad] == ["head.bias"]
    assert all(part.training for part in network.modules())


def logits_of_pixels() -> nn.Module:
    return nn.Sequential(nn.Flatten(1), nn.Linear(64, 3))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_step_without_jitter_is_the_smoothed_cross_entropy(smoothing: float, rng: torch.Generator) -> None:
    network, x, y = logits_of_pixels(), pictures(6), torch.tensor([0, 1, 2, 0, 1, 2])
    model = ClassifierTraining(network, ClassifierSettings(label_smoothing=smoothing, degrees=0.0, scale=0.0, shift=0.0))
    state, losses = rng.get_state(), {}
    shown = model.step((x, y), rng, losses.update)
    log_p = network(x).log_softmax(1)
    target = nn.functional.one_hot(y, 3) * (1 - smoothing) + smoothing / 3
    assert_close(losses["classifier"], -(target * log_p).sum(1).mean())
    assert shown["classifier"] is losses["classifier"]
    assert torch.equal(rng.get_state(), state)


def test_a_step_with_jitter_sees_jittered_images() -> None:
    network, x, y = logits_of_pixels(), pictures(3), torch.tensor([0, 1, 2])
    model = ClassifierTraining(network, ClassifierSettings(label_smoothing=0.0, degrees=10.0, scale=0.0, shift=0.1))
    shown = model.step((x, y), torch.Generator().manual_seed(3), lambda losses: None)
    seen = jitter(x, 10.0, 0.0, 0.1, torch.Generator().manual_seed(3))
    assert_close(shown["classifier"], cross_entropy(network(seen), y))
    assert (seen - x).abs().max() > 0.1


def test_the_averaged_classifier_is_in_eval_mode_with_the_statistics_of_the_images() -> None:
    network = nn.Sequential(nn.BatchNorm2d(1), logits_of_pixels())
    model = ClassifierTraining(network)
    network(100 * pictures())
    model.averages["classifier"].update_parameters(network)
    x = pictures(50)
    average = model.averaged_classifier(x)
    assert not any(part.training for part in average.modules())
    assert_close(average[0].running_mean, x.mean((0, 2, 3)))
    assert_close(average[0].running_var, x.transpose(0, 1).flatten(1).var(1))
    assert network.training
