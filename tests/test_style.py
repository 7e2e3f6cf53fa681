"""Style-based generators: the three spaces are one generator, noise is fixed, and codes are recovered in each of them."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, leaky_relu
from torch.testing import assert_close

import latentry as lt
from latentry.generators.style import StyleSpaces, style_spaces
from latentry.holding import require_generator

D, W, LAYERS = 4, 6, 3


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Mapping(nn.Module):
    """Two layers; with labels, a shift for each of them; the style repeated for each layer, as StyleGAN2 does."""

    def __init__(self, labels: int = 0) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(D, 8), nn.LeakyReLU(0.2), nn.Linear(8, W))
        self.labels = nn.Embedding(labels, W) if labels else None
        self.register_buffer("w_avg", torch.full((W,), 0.25))

    def forward(self, z: Tensor, c: Tensor | None, truncation_psi: float = 1.0) -> Tensor:
        w = self.layers(z)
        if self.labels is not None:
            assert c is not None
            w = w + self.labels(c)
        return w[:, None].repeat(1, LAYERS, 1)


class ModulatedConvolution(nn.Module):
    """The weights scaled by the style and demodulated, then noise and a nonlinearity."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, channels, 3, 3))
        self.style = nn.Linear(W, channels)
        self.strength = nn.Parameter(torch.tensor(0.3))
        self.register_buffer("noise_const", torch.randn(size, size))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        n, channels, height, width = x.shape
        weight = self.weight * (1 + self.style(w))[:, None, :, None, None]
        weight = weight * (weight.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()
        x = conv2d(x.reshape(1, n * channels, height, width), weight.flatten(0, 1), padding=1, groups=n)
        noise = torch.randn(n, 1, height, width, dtype=x.dtype) if noise is None else noise
        return leaky_relu(x.view(n, channels, height, width) + self.strength * noise, 0.2)


class Synthesis(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.constant = nn.Parameter(torch.randn(1, 5, 4, 4))
        self.convolutions = nn.ModuleList([ModulatedConvolution(5, 4), ModulatedConvolution(5, 8)])
        self.to_image = nn.Linear(W, 5)
        self.num_ws = LAYERS

    def forward(self, ws: Tensor, noise_mode: str = "random", noise: list[Tensor] | None = None) -> Tensor:
        x = self.constant.repeat(len(ws), 1, 1, 1)
        for place, convolution in enumerate(self.convolutions):
            own = convolution.noise_const if noise_mode == "const" else None
            x = convolution(x, ws[:, place], own if noise is None else noise[place])
            x = interpolate(x, scale_factor=2) if place == 0 else x
        return (x * self.to_image(ws[:, -1])[:, :, None, None]).sum(1, keepdim=True)


class StyleGAN(nn.Module):
    """In NVIDIA's convention."""

    def __init__(self, labels: int = 0) -> None:
        super().__init__()
        self.mapping, self.synthesis = Mapping(labels), Synthesis()


class Rosinality(nn.Module):
    """The same in rosinality's convention."""

    def __init__(self, of: StyleGAN) -> None:
        super().__init__()
        self.style, self.synthesis_network, self.n_latent = of.mapping.layers, of.synthesis, LAYERS

    def forward(
        self,
        styles: list[Tensor],
        input_is_latent: bool = False,
        noise: list[Tensor] | None = None,
        randomize_noise: bool = True,
    ) -> tuple[Tensor, None]:
        w = styles[0] if input_is_latent else self.style(styles[0])
        ws = w if w.ndim == 3 else w[:, None].repeat(1, LAYERS, 1)
        return self.synthesis_network(ws, "random" if randomize_noise else "const", noise), None


@pytest.fixture(scope="module")
def network() -> StyleGAN:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return StyleGAN().double().eval()


@pytest.fixture(scope="module")
def spaces(network: StyleGAN) -> StyleSpaces:
    return style_spaces(network, lt.priors.Normal(D))


@pytest.fixture
def z() -> Tensor:
    return torch.randn(5, D, generator=seeded(1), dtype=torch.float64)


def test_a_code_makes_the_same_data_in_all_three_spaces(network: StyleGAN, spaces: StyleSpaces, z: Tensor) -> None:
    expected = network.synthesis(network.mapping(z, None), noise_mode="const")
    w = spaces.to_w(z)
    w_plus = spaces.to_w_plus(w)
    assert (w.shape, w_plus.shape, spaces.layers) == ((5, W), (5, LAYERS * W), LAYERS)
    for space, codes in ((spaces.z, z), (spaces.w, w), (spaces.w_plus, w_plus)):
        assert_close(space.generator(codes), expected)
        require_generator(space.generator, codes)


def test_a_style_for_each_layer_is_one_row_of_the_code(network: StyleGAN, spaces: StyleSpaces) -> None:
    ws = torch.randn(2, LAYERS, W, generator=seeded(), dtype=torch.float64)
    assert spaces.w_plus.generator.code_shape == (LAYERS, W)
    assert_close(spaces.w_plus.generator(ws.flatten(1)), network.synthesis(ws, noise_mode="const"))


def test_both_conventions_give_the_same_spaces(network: StyleGAN, spaces: StyleSpaces, z: Tensor) -> None:
    other = style_spaces(Rosinality(network), lt.priors.Normal(D))
    assert_close(other.z.generator(z), spaces.z.generator(z))
    assert_close(other.w_plus.generator(other.to_w_plus(other.to_w(z))), spaces.z.generator(z))


@pytest.mark.parametrize("convention", [lambda g: g, Rosinality], ids=["mapping and synthesis", "style and call"])
def test_given_noise_stands_in_for_the_own(network: StyleGAN, convention: Callable[[StyleGAN], Any], z: Tensor) -> None:
    noise = [torch.randn(1, 1, size, size, generator=seeded(size), dtype=torch.float64) for size in (4, 8)]
    found = style_spaces(convention(network), lt.priors.Normal(D), noise=noise)
    expected = network.synthesis(network.mapping(z, None), noise=noise)
    assert_close(found.z.generator(z), expected)
    assert not torch.equal(expected, network.synthesis(network.mapping(z, None), noise_mode="const"))


def test_truncation_moves_styles_towards_their_mean(network: StyleGAN, z: Tensor) -> None:
    w = network.mapping(z, None)[:, 0]
    kept = style_spaces(network, lt.priors.Normal(D), truncation=0.7)
    assert_close(kept.to_w(z), 0.25 + 0.7 * (w - 0.25))  # the mean that the mapping kept
    unknown = SimpleNamespace(mapping=lambda z: z @ torch.ones(D, W).to(z) + 2, synthesis=lambda ws: ws.flatten(1))
    drawn = style_spaces(unknown, lt.priors.Normal(D), truncation=0.0, layers=LAYERS)
    assert_close(drawn.to_w(z), torch.full_like(w, 2.0), atol=0.1, rtol=0)


@pytest.mark.parametrize("name", ["z", "w", "w_plus"])
def test_codes_are_recovered_in_each_space(spaces: StyleSpaces, z: Tensor, name: str) -> None:
    space, x = getattr(spaces, name), spaces.z.generator(z).detach()
    found = lt.recover_codes(space.generator, x, space.prior, restarts=3, rng=seeded(), progress=None)
    assert found.met.sum() >= 4
    if name == "w_plus":
        return  # of 18 elements the data leave a few open
    true = z if name == "z" else spaces.to_w(z)
    assert ((found.z - true).square().mean(1) < 1e-4).sum() >= 4


def test_samples_of_w_are_styles_of_the_prior(network: StyleGAN, spaces: StyleSpaces) -> None:
    codes = lt.priors.Normal(D).sample((6,), rng=seeded())
    assert_close(
        spaces.w.prior.sample((2, 3), rng=seeded()).flatten(0, 1), network.mapping(codes.double(), None)[:, 0].float()
    )
    repeated = spaces.w_plus.prior.sample((6,), rng=seeded()).unflatten(1, (LAYERS, W))
    assert torch.equal(repeated, repeated[:, :1].expand_as(repeated))


def test_a_mapping_with_labels_takes_a_condition(z: Tensor) -> None:
    network, z, labels = StyleGAN(labels=3).double().eval(), 0.7 * z, torch.tensor([0, 1, 2, 0, 1])
    spaces = style_spaces(network, lt.priors.Normal(D), condition=torch.tensor([2]))
    expected = network.synthesis(network.mapping(z, labels), noise_mode="const")
    assert_close(spaces.z.generator(z, labels), expected)
    assert_close(spaces.w.generator(spaces.to_w(z, labels)), expected)
    codes = lt.priors.Normal(D).sample((4,), rng=seeded())
    under_two = network.mapping(codes.double(), torch.full((4,), 2))[:, 0].detach().float()
    assert_close(spaces.w.prior.sample((4,), rng=seeded()), under_two)
    found = lt.recover_codes(spaces.z.generator, expected.detach(), spaces.z.prior, condition=labels, rng=seeded())
    assert found.met.sum() >= 3
    assert_close(found.z[found.met], z[found.met], atol=1e-4, rtol=1e-4)


def test_one_style_for_a_synthesis_without_layers_is_w_and_w_plus() -> None:
    spaces = style_spaces(SimpleNamespace(mapping=nn.Linear(D, W), synthesis=nn.Linear(W, 9)), lt.priors.Normal(D))
    assert spaces.layers == 1
    assert spaces.w_plus.generator(torch.zeros(2, W)).shape == (2, 9)


def test_what_is_no_style_based_generator_is_refused(network: StyleGAN) -> None:
    prior = lt.priors.Normal(D)
    with pytest.raises(ValueError, match="expected a style-based generator, got Linear"):
        style_spaces(nn.Linear(D, W), prior)
    noisy = SimpleNamespace(mapping=nn.Linear(D, W), synthesis=lambda ws: ws + torch.randn(W))
    with pytest.raises(ValueError, match="expected a synthesis whose noise can be held fixed"):
        style_spaces(noisy, prior)
    with pytest.raises(ValueError, match="expected a mapping that gives all layers one style"):
        style_spaces(SimpleNamespace(mapping=lambda z: z[:, :, None], synthesis=lambda ws: ws.flatten(1)), prior)
    with pytest.raises(ValueError, match="expected layers=3 as the mapping gives styles, got 2"):
        style_spaces(network, prior, layers=2)
    with pytest.raises(ValueError, match=r"expected truncation in \[0, 1\]"):
        style_spaces(network, prior, truncation=1.5)
