"""Encoder, decoder and discriminator of Zheng and Sun: shapes at every side, and what the projection does."""

import pytest
import torch
from torch.nn.utils.parametrize import is_parametrized
from torch.testing import assert_close

from latentry.networks import Perceptron, Zheng2019Decoder, Zheng2019Discriminator, Zheng2019Encoder
from latentry.networks.files import from_record, record


@pytest.mark.parametrize(("side", "channels"), [(8, 1), (28, 1), (30, 3), (32, 3), (64, 1)])
def test_the_decoder_makes_what_the_encoder_reads(side: int, channels: int) -> None:
    decoder, encoder = Zheng2019Decoder(5, side, channels, width=2), Zheng2019Encoder(7, side, channels, width=2)
    x = decoder(torch.randn(3, 5))
    assert x.shape == (3, channels, side, side)
    assert x.abs().max() <= 1
    assert encoder(x).shape == (3, 7)
    assert Zheng2019Discriminator(4, side, channels, width=2)(x, torch.tensor([0, 3, 1])).shape == (3,)


def test_at_28_pixels_and_width_64_they_are_those_of_the_paper() -> None:
    shapes = [tuple(p.shape[:2]) for p in Zheng2019Encoder(32).shrink.parameters() if p.ndim == 4]
    assert shapes == [(64, 1), (128, 64), (256, 128)]
    assert Zheng2019Encoder(32).code[0].weight.shape == (1024, 4096)
    assert Zheng2019Decoder(132).project[0].weight.shape == (2 * 2 * 256, 132)
    channels = [layer.out_channels for layer in Zheng2019Discriminator(10).look if isinstance(layer, torch.nn.Conv2d)]
    assert channels == [32, 128, 256, 256]


def test_a_label_adds_the_product_of_its_vector_and_the_features() -> None:
    discriminator = Zheng2019Discriminator(3, 8, width=2).eval()
    x, y = torch.randn(4, 1, 8, 8), torch.tensor([0, 1, 2, 1])
    h = discriminator.look(x)
    expected = discriminator.score(h)[:, 0] + (discriminator.label.weight[y] * h).sum(1)
    assert_close(discriminator(x, y), expected)
    assert not torch.allclose(discriminator(x, y), discriminator(x, y.roll(1)))


def test_spectral_normalisation_bounds_every_layer_and_may_be_left_out() -> None:
    torch.manual_seed(0)
    for norm, normed in (("spectral", True), ("none", False)):
        discriminator = Zheng2019Discriminator(3, 8, width=2, norm=norm)
        assert all(
            is_parametrized(layer, "weight") is normed
            for layer in (discriminator.look[0], discriminator.score, discriminator.label)
        )
    discriminator = Zheng2019Discriminator(3, 8, width=2)
    x = torch.randn(4, 1, 8, 8)
    for _ in range(50):
        discriminator(x, torch.tensor([0, 1, 2, 1]))
    assert_close(torch.linalg.matrix_norm(discriminator.eval().label.weight, 2), torch.tensor(1.0), rtol=1e-3, atol=1e-3)


def test_a_discriminator_says_whether_it_wants_labels() -> None:
    x, y = torch.randn(2, 1, 8, 8), torch.tensor([0, 1])
    for num_classes, given in ((3, None), (0, y)):
        with pytest.raises(ValueError, match="expected labels with the images"):
            Zheng2019Discriminator(num_classes, 8, width=1)(x, given)


@pytest.mark.parametrize("network", [Zheng2019Encoder(3, 28, width=2), Zheng2019Decoder(3, 28, width=2)])
def test_networks_are_built_again_from_their_record(network: torch.nn.Module) -> None:
    again = from_record(record(network))
    assert {name: w.shape for name, w in again.state_dict().items()} == {
        name: w.shape for name, w in network.state_dict().items()
    }


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: Zheng2019Encoder(3, 7), "8 pixels a side"),
        (lambda: Zheng2019Decoder(0), "latent_dim >= 1"),
        (lambda: Zheng2019Discriminator(-1), "num_classes >= 0"),
        (lambda: Zheng2019Encoder(3, channels=2), "1 .grey. or 3 .colour. channels"),
        (lambda: Perceptron(3, 0), "sizes of at least 1"),
    ],
)
def test_bad_sizes_are_refused(build: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        build()  # type: ignore[operator]


def test_a_perceptron_without_hidden_layers_is_a_linear_map() -> None:
    network = Perceptron(3, 2, ())
    x = torch.randn(5, 3)
    assert_close(network(x + 1) - network(x), network(torch.ones(1, 3)).expand(5, 2) - network(torch.zeros(1, 3)))


def test_a_normalised_perceptron_sees_small_coordinates_as_large_ones() -> None:
    network = Perceptron(2, 3, (8,), normalised=True)
    x = torch.randn(50, 2)
    assert_close(network(x), network(x * torch.tensor([1e-2, 10.0]) + 3), rtol=1e-2, atol=1e-2)
