"""Shapes, ranges and gradients of the shared networks, and each of them rebuilt from its arguments."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized
from torch.testing import assert_close

from latentry import networks
from latentry.networks import (
    Cho2020Discriminator,
    Cho2020Generator,
    ConvolutionalEncoder,
    DCGANDiscriminator,
    DCGANGenerator,
    PlainClassifier,
    ResidualClassifier,
    VectorEncoder,
)
from latentry.networks.dcgan import IMAGE_SIZES

picture_cases = pytest.mark.parametrize(("size", "channels"), list(itertools.product(IMAGE_SIZES, (1, 3))))
norm_cases = pytest.mark.parametrize("norm", ["batch", "spectral", "none"])


def pictures(n: int, channels: int, size: int) -> Tensor:
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(5)) * 2 - 1


def without_gradient(network: nn.Module) -> list[str]:
    """Parameters that learn nothing; in double precision a gradient that cancels is far below one that is small."""
    return [name for name, p in network.named_parameters() if p.grad is None or p.grad.abs().max() < 1e-12]


@picture_cases
def test_a_generator_paints_in_range_and_every_weight_learns(size: int, channels: int) -> None:
    generator = DCGANGenerator(4, size, channels, width=2)
    x = generator.double()(100 * torch.randn(6, 4, dtype=torch.float64))
    assert x.shape == (6, channels, size, size)
    assert x.abs().max() <= 1
    (x * pictures(6, channels, size)).sum().backward()
    assert without_gradient(generator) == []


@pytest.mark.parametrize(("size", "channels"), [(28, 1), (32, 3)])
def test_the_networks_of_cho_paint_and_score_each_row_alone_and_every_weight_learns(size: int, channels: int) -> None:
    generator, discriminator = (
        Cho2020Generator(4, size, channels, 2).double(),
        Cho2020Discriminator(size, channels, 2).double(),
    )
    z = torch.randn(3, 4, dtype=torch.float64)
    x = generator(z)
    assert x.shape == (3, channels, size, size)
    assert x.abs().max() <= 1
    assert_close(generator(z[:1]), x[:1])
    scores = discriminator(x)
    assert scores.shape == (3,)
    (scores * torch.arange(3)).sum().backward()
    assert without_gradient(generator) == without_gradient(discriminator) == []


def test_the_networks_of_cho_refuse_what_two_doublings_do_not_reach() -> None:
    with pytest.raises(ValueError, match="image size among"):
        Cho2020Generator(4, 64)
    with pytest.raises(ValueError, match="width >= 1"):
        Cho2020Discriminator(width=0)
    with pytest.raises(ValueError, match="latent_dim >= 1"):
        Cho2020Generator(0)


@picture_cases
@norm_cases
def test_a_discriminator_scores_each_picture_and_every_weight_learns(size: int, channels: int, norm: str) -> None:
    discriminator = DCGANDiscriminator(size, channels, 2, norm)
    scores = discriminator.double()(pictures(6, channels, size).double())
    assert scores.shape == (6,)
    (scores * torch.arange(6)).sum().backward()
    assert without_gradient(discriminator) == []


def test_the_range_is_reached() -> None:
    generator = DCGANGenerator(4, width=2).eval()
    with torch.no_grad():
        generator.paint[0].bias.fill_(50.0)
        assert_close(generator(torch.randn(2, 4)), torch.ones(2, 1, 28, 28))


def test_widths_double_with_every_halving_of_the_side() -> None:
    def widths(network: nn.Module, kind: type[nn.Module]) -> list[int]:
        return [layer.in_channels for layer in network.modules() if isinstance(layer, kind)]

    assert widths(DCGANGenerator(2, 64, 3, width=4), nn.ConvTranspose2d) == [32, 16, 8, 4]
    assert widths(DCGANDiscriminator(64, 3, width=4), nn.Conv2d) == [3, 4, 8, 16]


def test_weights_begin_with_the_deviation_of_the_paper() -> None:
    for layer in [*DCGANGenerator(64, 32, width=16).modules(), *DCGANDiscriminator(32, width=16).modules()]:
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear) and layer.weight.numel() > 4000:
            assert_close(layer.weight.std().item(), 0.02, rtol=0.05, atol=0)


@pytest.mark.parametrize("size", IMAGE_SIZES)
def test_spectral_norm_bounds_the_largest_singular_value_of_each_layer(size: int) -> None:
    discriminator = DCGANDiscriminator(size, 3, 2, "spectral")
    layers = [layer for layer in discriminator.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert all(is_parametrized(layer, "weight") for layer in layers)
    with torch.no_grad():
        for scale, layer in enumerate(layers, 1):
            layer.parametrizations.weight.original.mul_(100 * scale)
        for _ in range(100):  # one power iteration each
            discriminator(pictures(1, 3, size))
    for layer in layers:
        largest = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), ord=2).item()
        assert_close(largest, 1.0, rtol=1e-2, atol=0)
        assert torch.linalg.matrix_norm(layer.parametrizations.weight.original.detach().flatten(1), ord=2) > 2


@norm_cases
def test_only_the_norm_asked_for_is_built_in(norm: str) -> None:
    parts = list(DCGANDiscriminator(32, 1, 2, norm).modules())
    assert any(isinstance(part, nn.BatchNorm2d) for part in parts) == (norm == "batch")
    assert any(is_parametrized(part) for part in parts) == (norm == "spectral")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_size": 30}, r"among \(28, 32, 64, 128\), got 30"),
        ({"image_size": 256}, "got 256"),
        ({"channels": 2}, "channels, got 2"),
        ({"width": 0}, "width >= 1, got 0"),
    ],
)
def test_bad_sizes_are_refused(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DCGANGenerator(4, **arguments)
    with pytest.raises(ValueError, match=message):
        DCGANDiscriminator(**arguments)


def test_codes_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="latent_dim >= 1, got 0"):
        DCGANGenerator(0)
    with pytest.raises(ValueError, match="codes of length 4, got 5"):
        DCGANGenerator(4, width=1)(torch.zeros(2, 5))


@pytest.mark.parametrize("size", [28, 32, 64])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("kind", "features_per_width"), [(PlainClassifier, 18), (ResidualClassifier, 3)])
def test_a_classifier_gives_features_and_logits_and_every_weight_learns(
    kind: type[PlainClassifier] | type[ResidualClassifier], features_per_width: int, channels: int, size: int
) -> None:
    classifier = kind(7, channels, width=2)
    x = pictures(6, channels, size)
    assert classifier.features(x).shape == (6, 2 * features_per_width)
    logits = classifier.double()(x.double())
    assert logits.shape == (6, 7)
    (logits * torch.randn(6, 7)).sum().backward()
    assert without_gradient(classifier) == []
    classifier.float().eval()
    assert torch.equal(classifier.head(classifier.features(x)), classifier(x))


@pytest.mark.parametrize(
    "shape",
    [(1, 28, 28), (3, 64, 64), (3, 50, 37), (1, 5, 40), (2, 3, 3), (1, 1, 1), (2, 50), (1, 4), (7,), (1,)],
    ids=lambda shape: "x".join(map(str, shape)),
)
def test_an_encoder_takes_data_of_any_size_and_every_weight_learns(shape: tuple[int, ...]) -> None:
    kind = VectorEncoder if len(shape) == 1 else ConvolutionalEncoder
    encoder = kind(5, shape, width=2).double()
    x = torch.rand(6, *shape, dtype=torch.float64) * 2 - 1
    encoder.calibrate(x)
    z = encoder(x)
    assert z.shape == (6, 5)
    (z * torch.randn(6, 5)).sum().backward()
    silent = {"bent.0.weight", "bent.1.weight", "bent.1.bias", "bent.3.weight", "bent.4.weight", "bent.4.bias"}
    assert set(without_gradient(encoder)) == (silent if kind is VectorEncoder else set())  # it begins as a linear map


def test_encoders_widen_with_every_halving_up_to_eightfold() -> None:
    layers = [layer for layer in ConvolutionalEncoder(5, (3, 256, 256), width=4).modules() if isinstance(layer, nn.Conv2d)]
    assert [layer.in_channels for layer in layers] == [6, 4, 8, 16, 32, 32]
    assert layers[-1].out_channels == 32


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_an_encoder_sees_data_standardised_and_stretched_at_the_ends_of_their_range(noise: float) -> None:
    e = torch.randn(4000, 1, 8, 8) * 3
    encoder = ConvolutionalEncoder(5, (1, 8, 8), width=2)
    x = 100 + 50 * e.tanh()
    encoder.calibrate(x, noise * 50)
    plain, stretched = encoder.views(x).unbind(1)
    for view in (plain, stretched):
        assert_close(view.mean().item(), 0.0, rtol=0, atol=1e-3)
        assert_close(view.std().item(), 1.0, rtol=0, atol=1e-3)
    reached = torch.atanh(torch.tensor(1 - max(noise, 1e-6))).item()
    expected = e[:, 0].clamp(-reached, reached)
    expected = (expected - expected.mean()) / expected.std()
    near = e[:, 0].abs() < 5  # beyond, single precision has little left
    assert_close(stretched[near], expected[near], rtol=0, atol=0.02)


def test_inputs_that_never_change_are_passed_over() -> None:
    encoder = VectorEncoder(5, (3,), width=2).eval()
    x = torch.cat([torch.randn(50, 2), torch.full((50, 1), 7.0)], 1)
    encoder.calibrate(x)
    assert encoder(x).isfinite().all()
    assert encoder.views(x)[:, 2].abs().max() < 1e-5
    encoder.calibrate(torch.full((50, 3), 7.0))
    assert encoder(x).isfinite().all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, (1, 8, 8)), "latent_dim >= 1, got 0"),
        ((5, (1, 8, 8), 0), "width >= 1, got 0"),
        ((5, (1, 0, 8)), r"numbers >= 1, got \(1, 0, 8\)"),
        ((5, ()), "numbers >= 1"),
        ((5, (2, 3, 4, 5)), r"of images or \(c, length\) of signals, got \(2, 3, 4, 5\)"),
    ],
)
def test_bad_shapes_of_encoders_are_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ConvolutionalEncoder(*arguments)
    if len(arguments[1]) < 4:
        return
    with pytest.raises(ValueError, match=r"shape \(m,\) of vectors"):
        VectorEncoder(*arguments)


@pytest.mark.parametrize(
    "network",
    [
        ConvolutionalEncoder(5, (1, 28, 28), 2),
        VectorEncoder(5, (9,), 2),
        DCGANGenerator(5, 32, 3, 2),
        DCGANDiscriminator(32, 3, 2, "batch"),
        DCGANDiscriminator(64, 1, 2, "spectral"),
        PlainClassifier(3, 3, 2),
        ResidualClassifier(3, 3, 2),
    ],
    ids=lambda network: type(network).__name__,
)
def test_a_network_is_rebuilt_from_its_class_arguments_and_weights(network: nn.Module) -> None:
    name = type(network).__name__
    assert name in networks.__all__
    twin = getattr(networks, name)(**network.arguments)
    twin.load_state_dict(network.state_dict())
    given = torch.randn(2, 5) if name == "DCGANGenerator" else pictures(2, *_expected_picture(network))
    given = given.flatten(1)[:, :9] if name == "VectorEncoder" else given
    assert torch.equal(twin.eval()(given), network.eval()(given))


def _expected_picture(network: nn.Module) -> tuple[int, int]:
    return network.arguments.get("channels", 1), network.arguments.get("image_size", 28)
