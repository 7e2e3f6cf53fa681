"""Networks of the caller's own in every `fit_...` function: a small perceptron learns a toy, and stays as it was itself."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

import latentry as lt
from latentry.models.level_classifier import LevelHeads, fit_level_classifier
from latentry.models.semantic_fitting import fit_feature_gan
from latentry.models.settings import SemanticGANSettings, SemanticSettings, SemanticVAESettings
from latentry.training.settings import LoopSettings

N, K, D = 240, 3, 2
LOOP: dict[str, Any] = {"batch_size": 48, "checkpoint_every": 300}
Y = torch.arange(N) % K
CENTRES = torch.tensor([[2.0, 0.0], [-1.0, 1.7], [-1.0, -1.7]])
X = CENTRES[Y] + 0.2 * torch.randn(N, 2, generator=torch.Generator().manual_seed(0))
A = 1.0 - (torch.arange(N) % 3)[:, None]
LINE = torch.cat([3 * A, torch.zeros(N, 1)], 1) + 0.2 * torch.randn(N, 2, generator=torch.Generator().manual_seed(1))


def perceptron(inputs: int, outputs: int, hidden: int = 32) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(inputs, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, outputs))


class Scores(nn.Module):
    """Data, and what comes with them, to one score each."""

    def __init__(self, inputs: int, classes: int = 0) -> None:
        super().__init__()
        self.map, self.classes = perceptron(inputs + classes, 1), classes

    def forward(self, x: Tensor, beside: Tensor | None = None) -> Tensor:
        if beside is not None:
            beside = one_hot(beside, self.classes).to(x) if self.classes else beside
            x = torch.cat([x, beside], 1)
        return self.map(x).squeeze(1)


class Beside(nn.Module):
    """Points and labels to mean and log variance of one number."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.map = perceptron(2 + K, outputs)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.map(torch.cat([x, one_hot(y, K).to(x)], 1))


def test_a_gan_of_perceptrons_learns_a_cloud_in_the_plane() -> None:
    x = 0.5 * torch.randn(400, 2, generator=torch.Generator().manual_seed(2)) + torch.tensor([1.0, -2.0])
    settings = lt.settings.GANSettings(
        latent_dim=D, steps=400, ema=0.98, r1=1.0, generator_learning_rate=5e-3, discriminator_learning_rate=5e-3, **LOOP
    )
    own = {"generator": perceptron(D, 2), "discriminator": Scores(2)}
    before = [parameter.clone() for network in own.values() for parameter in network.parameters()]
    found = lt.fit_gan(x, None, settings, rng=0, progress=False, **own)
    made = found.model.decode(found.model.prior.sample(1000, rng=torch.Generator().manual_seed(3)))
    assert (made.mean(0) - x.mean(0)).norm() < 0.4
    assert found.networks["discriminator"](x).shape == (400,)
    after = [parameter for network in own.values() for parameter in network.parameters()]
    assert all(torch.equal(old, new) for old, new in zip(before, after, strict=True))


def test_a_label_split_of_perceptrons_puts_labels_in_their_part() -> None:
    settings = lt.settings.LabelSplitSettings(
        label_dim=2, style_dim=1, steps=250, flow_steps=20, gan=True, learning_rate=5e-3, **LOOP
    )
    found = lt.fit_label_split(
        X, settings, y=Y, label_encoder=perceptron(2, 2), style_encoder=perceptron(2, 2), decoder=perceptron(3, 2),
        adversary=perceptron(1, K), discriminator=Scores(2, K), rng=0, progress=False,
    )  # fmt: skip
    z = found.model.encode(X).mean
    assert (found.model.label_log_probs(z).argmax(1) == Y).double().mean() > 0.95
    assert {*found.networks} == {"adversary", "discriminator"}


@pytest.mark.parametrize("vae", [True, False])
def test_a_conditional_model_of_perceptrons_makes_what_the_label_says(vae: bool, tmp_path: Any) -> None:
    settings = lt.settings.ConditionalSettings(
        steps=300, vae=vae, gan=True, style_dim=1, learning_rate=5e-3, betas=(0.5, 0.9), **LOOP
    )
    own = {"decoder": perceptron(K + 1, 2), "discriminator": Scores(2, K)}
    if vae:
        own["encoder"] = Beside(2)
    found = lt.fit_conditional(X, settings, y=Y, rng=0, progress=False, **own)
    x = found.model.decode(found.model.prior.sample((), Y, rng=torch.Generator().manual_seed(5)))
    assert (torch.cdist(x, CENTRES).argmin(1) == Y).double().mean() > 0.9
    assert found.networks["discriminator"](X, Y).shape == (N,)
    if vae:
        z = found.model.encode(X, Y)
        assert torch.equal(z.mean[:, :K], one_hot(Y, K).float())
        with pytest.raises(ValueError, match="expected labels with the data"):
            found.model.encode(X)
    else:
        with pytest.raises(ValueError, match="expected a model with an encoder"):
            found.model.encode(X, Y)


def test_conditional_models_of_images_are_saved_and_resumed(tmp_path: Any) -> None:
    x = torch.rand(24, 1, 28, 28, generator=torch.Generator().manual_seed(6)) * 2 - 1
    tiny = lt.settings.ConditionalSettings(steps=4, batch_size=8, width=1, style_dim=3, checkpoint_every=2)
    first = lt.fit_conditional(x, replace(tiny, steps=2, schedule="constant"), y=Y[:24], rng=0, checkpoint=tmp_path / "run")
    assert first.stages["conditional"].steps == 2
    gone_on = lt.fit_conditional(x, tiny, y=Y[:24], rng=0, checkpoint=tmp_path / "run").model
    at_once = lt.fit_conditional(x, tiny, y=Y[:24], rng=0).model
    lt.save_model(tmp_path / "model", gone_on)
    loaded = lt.load_model(tmp_path / "model")
    for model in (at_once, loaded):
        assert torch.equal(model.encode(x, Y[:24]).mean, gone_on.encode(x, Y[:24]).mean)
    with pytest.raises(ValueError, match="vae, gan or both, and labels with gan"):
        lt.settings.ConditionalSettings(labels=False, gan=True)


def test_a_semantic_model_of_perceptrons_places_its_feature() -> None:
    prior = lt.priors.SemanticPlacement(["right"], D).observed(A)
    settings = SemanticSettings(
        vae=SemanticVAESettings(steps=300, deviation=0.3, warm_up=50, learning_rate=5e-3, **LOOP),
        gan=SemanticGANSettings(steps=40, **LOOP),
    )
    own = {"encoder": perceptron(2, 2 * D), "decoder": perceptron(D, 2), "discriminator": Scores(3)}
    found = lt.fit_semantic(LINE, prior, settings, a=A, rng=0, progress=False, **own)
    levels = prior.levels(found.model.encode(LINE).mean)
    assert (levels.round().clamp(-1, 1) == A).double().mean() > 0.9
    assert found.networks["discriminator"](LINE, A).shape == (N,)


def test_a_gan_of_perceptrons_shows_the_levels_that_codes_ask_for() -> None:
    prior = lt.priors.SemanticPlacement(["right"], D, separation=3.0).observed(A)
    rates = {"generator_learning_rate": 5e-3, "discriminator_learning_rate": 5e-3}
    settings = SemanticGANSettings(consistency_weight=0.0, steps=400, ema=0.98, **rates, **LOOP)
    own = {"generator": perceptron(D, 2), "discriminator": Scores(3)}
    model = fit_feature_gan(LINE, prior, settings, a=A, rng=0, progress=False, **own).model
    places = [model.decode(prior.at(torch.full((200, 1), level)).sample())[:, 0].mean() for level in (-1.0, 0.0, 1.0)]
    assert places[0] < -1.5
    assert abs(places[1]) < 1
    assert places[2] > 1.5
    with pytest.raises(ValueError, match="consistency_weight=0 and discriminator_sees='levels'"):
        fit_feature_gan(LINE, prior, SemanticGANSettings(), a=A)


def test_a_level_classifier_is_a_perceptron() -> None:
    heads = LevelHeads(("right",))
    loop = LoopSettings(steps=150, schedule="cosine", **LOOP)
    found = fit_level_classifier(LINE, heads, loop, a=A, network=perceptron(2, 3), shift=0.0, rng=0, progress=False)
    assert (found.model.levels(LINE) == A).double().mean() > 0.95


@pytest.mark.parametrize("validated", [False, True])
def test_a_classifier_of_points_is_a_perceptron(validated: bool) -> None:
    settings = lt.settings.ClassifierSettings(
        steps=150, learning_rate=1e-2, degrees=0.0, scale=0.0, shift=0.0, ema=0.9, **LOOP
    )
    validation = (X[:60], Y[:60]) if validated else None
    found = lt.fit_classifier(X, settings, y=Y, network=perceptron(2, K), validation=validation, rng=0, progress=False)
    assert (found.model.network(X).argmax(1) == Y).double().mean() > 0.95
    assert ("validation" in found.reached) == validated


def doubled(z: Tensor) -> Tensor:
    return (2 * z)[:, None, None, :, None]  # no image, signal or vector


def test_an_inverse_and_an_encoder_take_data_of_any_shape() -> None:
    own, prior = nn.Sequential(nn.Flatten(), perceptron(D, D)), lt.priors.Normal(D)
    settings = lt.settings.InverseSettings(steps=400, batch_size=64)
    inverse = lt.fit_inverse(doubled, prior, settings, encoder=own, rng=0, progress=False)
    assert inverse.report.code_error < 0.05
    x = doubled(prior.sample(100, rng=torch.Generator().manual_seed(4)))
    short = lt.settings.EncoderSettings(steps=150, batch_size=50, prior_weight=0.0)
    fresh = lt.fit_encoder(doubled, x, prior, short, encoder=own, rng=0, progress=False)
    begun = lt.fit_encoder(doubled, x, prior, short, start=inverse, rng=0, progress=False)
    for encoder in (fresh, begun):
        assert (doubled(encoder(x)) - x).square().mean() < 0.3
    with pytest.raises(ValueError, match="an encoder of your own or a start, got both"):
        lt.fit_encoder(doubled, x, prior, short, encoder=own, start=inverse, rng=0)


def gan(**own: Any) -> Any:
    settings = lt.settings.GANSettings(latent_dim=D, steps=2, batch_size=8)
    return lt.fit_gan(X, None, settings, rng=0, **{"generator": perceptron(D, 2), "discriminator": Scores(2), **own})


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        (
            lambda: gan(generator=perceptron(D, 5)),
            r"the generator to give \(2, 2\) for inputs \(2, 2\), got \(2, 5\)",
        ),
        (lambda: gan(discriminator=perceptron(2, 1)), r"expected the discriminator to give \(2,\) .* got \(2, 1\)"),
        (
            lambda: gan(discriminator=perceptron(7, 1)),
            r"expected a discriminator that takes inputs \(2, 2\), got one that fails on them: mat1",
        ),
        (lambda: gan(generator=nn.Identity()), "expected a generator with parameters to train"),
        (lambda: gan(discriminator=None), "expected square images"),
        (
            lambda: lt.fit_label_split(X, lt.settings.LabelSplitSettings(label_dim=2), y=Y, discriminator=Scores(2, K)),
            "gan=True beside a discriminator",
        ),
        (
            lambda: lt.fit_inverse(lambda z: 2 * z, lt.priors.Normal(D), encoder=perceptron(D, 3)),
            r"expected the encoder to give \(2, 2\)",
        ),
    ],
)
def test_a_network_that_does_not_fit_is_refused_in_a_sentence(fit: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit()


def test_a_run_with_another_network_does_not_go_on_from_checkpoints(tmp_path: Any) -> None:
    gan(checkpoint=tmp_path)
    gan(checkpoint=tmp_path)
    with pytest.raises(ValueError, match="other"):
        gan(generator=perceptron(D, 2, hidden=16), checkpoint=tmp_path)
