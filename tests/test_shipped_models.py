"""The shipped models are small, good, and independent of one another where they must be."""

from pathlib import Path

import pytest
import torch

import latentry as lt
from latentry.data import digits
from latentry.evaluation.proportions import share
from latentry.evaluation.strokes import measure_strokes
from latentry.models.classifier import predict_labels
from latentry.models.pretrained import shipped_models

PACKAGE = Path(lt.__file__).parent
CLASSIFIERS = ("digits-guide", "digits-evaluator")


def test_there_are_seven_and_they_fit_in_eight_megabytes() -> None:
    assert shipped_models() == [
        "digits-evaluator", "digits-generator", "digits-guide", "digits-split", "fashion-evaluator", "letters-semantic",
        "painted-generator",
    ]  # fmt: skip
    files = [path for path in (PACKAGE / "pretrained").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 8e6
    assert {path.name for path in files} == {"config.json", "model.safetensors"}
    assert (PACKAGE / "data" / "digits.npz").stat().st_size <= 4e6


def test_the_fashion_evaluator_sees_no_more_than_128_features_and_reads_its_classes() -> None:
    model = lt.load_model("fashion-evaluator")
    assert model.network.features(torch.zeros(2, 1, 28, 28)).shape[1] <= 128
    assert model.card["data"]["name"].startswith("fashion-mnist/train")
    assert model.card["metrics"]["held-out"]["value"] >= 0.9


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_reads_98_percent_of_the_held_out_digits_as_its_card_says(name: str) -> None:
    model = lt.load_model(name)
    held_out = digits().split("held-out")
    found = share(predict_labels(model.network, held_out.images())[0] == held_out.labels)
    assert found.value >= 0.98
    assert found.value == pytest.approx(model.card["metrics"]["held-out"]["value"], abs=0.002)


def test_guide_and_evaluator_share_neither_build_nor_seed_nor_training_digits() -> None:
    guide, evaluator = map(lt.load_model, CLASSIFIERS)
    assert type(guide.network) is not type(evaluator.network)
    assert guide.card["settings"]["seed"] != evaluator.card["settings"]["seed"]
    folds = [digits().split("train").fold(*model.card["settings"]["fold"]) for model in (guide, evaluator)]
    assert [fold.fingerprint() for fold in folds] == [model.card["data"]["fingerprint"] for model in (guide, evaluator)]
    assert not set(folds[0].items.tolist()) & set(folds[1].items.tolist())


def test_no_classifier_and_no_generator_was_trained_on_held_out_or_validation_digits() -> None:
    source = digits()
    train, *others = (set(source.split(name).items.tolist()) for name in ("train", "validation", "held-out"))
    assert not train & set.union(*others)
    card = lt.load_model("digits-generator").card
    assert card["data"]["fingerprint"] == source.split("train").fingerprint()


def test_the_generator_makes_all_ten_digits_and_the_evaluator_is_sure_of_most() -> None:
    model = lt.load_model("digits-generator")
    x = model.decode(model.prior.sample(1000, rng=torch.Generator().manual_seed(0)))
    assert x.shape == (1000, 1, 28, 28)
    assert x.abs().max() <= 1
    labels, confidence = predict_labels(lt.load_model("digits-evaluator").network, x)
    assert (labels.bincount(minlength=10) >= 40).all()
    assert share(confidence > 0.8).value == pytest.approx(model.card["metrics"]["evaluator_confident"]["value"], abs=0.05)
    assert share(confidence > 0.8).value > 0.7


def test_the_generator_maps_like_codes_to_like_images() -> None:
    """The gradient of the generator reaches every latent: none is dead."""
    model = lt.load_model("digits-generator")
    z = model.prior.sample(64, rng=torch.Generator().manual_seed(1)).requires_grad_(True)
    weights = torch.randn(1, 1, 28, 28, generator=torch.Generator().manual_seed(2))
    (gradient,) = torch.autograd.grad((model.generator(z) * weights).sum(), z)
    use = gradient.square().mean(0).sqrt()
    assert use.min() > 0.05 * use.max()


def test_the_label_split_names_held_out_digits_and_carries_styles_over() -> None:
    split = lt.load_model("digits-split", lt.LabelSplit)
    held_out = digits().split("held-out")
    x, y = held_out.images(), held_out.labels
    z = split.encode(x).mean
    named = share(split.label_log_probs(z).argmax(1) == y)
    assert named.value >= 0.99
    assert named.value == pytest.approx(split.card["metrics"]["accuracy"]["value"], abs=0.005)
    swapped = split.decode(split.swapped(z, z.roll(1, 0)))
    assert share(predict_labels(lt.load_model("digits-evaluator").network, swapped)[0] == y).value >= 0.95
    slant = torch.stack([measure_strokes(images[:300]).slant for images in (swapped, x.roll(1, 0))])
    assert torch.corrcoef(slant)[0, 1] > 0.5  # with the images that gave z_u


def test_the_letters_were_shown_no_light_face_and_reverse_what_is_bold_all_the_same() -> None:
    model = lt.load_model("letters-semantic", lt.SemanticModel)
    card, placement = model.card, model.prior
    assert card["settings"]["held_out"] == "bold=-1"
    assert placement.features[:4] == ("bold", "italic", "serif", "mono")
    assert not (placement.combinations[:, 0] == -1).any()
    a = torch.stack([placement.named({letter: 1}) for letter in placement.exclusive for _ in range(4)])
    z = placement.at(a).sample(rng=torch.Generator().manual_seed(0))
    light, regular, bold = (measure_strokes(model.decode(placement.moved(z, "bold", by))).thickness for by in (-1, 0, 1))
    assert share(light < regular).value >= 0.98
    assert share(regular < bold).value >= 0.98
    assert light.mean() < 0.8 * regular.mean()
    left, right = (measure_strokes(model.decode(placement.moved(z, "italic", by))).slant for by in (-1, 1))
    assert share(left < right).value >= 0.95
    found = placement.levels(model.encode(model.decode(z)).mean)[:, len(placement.features) - 26 :]
    assert share(found.argmax(1) == a[:, len(placement.features) - 26 :].argmax(1)).value >= 0.9


def test_the_painted_generator_makes_64_pixel_colour_images_of_100_latents_as_varied_as_its_data() -> None:
    model = lt.load_model("painted-generator")
    assert model.prior.latent_dim == 100
    x = model.decode(model.prior.sample(64, rng=torch.Generator().manual_seed(0)))
    assert x.shape == (64, 3, 64, 64)
    real = lt.load_dataset("painted-digits").split("train").images(range(64))
    for made, given in ((x.std(0).mean(), real.std(0).mean()), (x.std((2, 3)).mean(), real.std((2, 3)).mean())):
        assert made == pytest.approx(given.item(), rel=0.25)
    grounds, given = (images[:, :, 0, 0].std(0) for images in (x, real))  # colours of a corner, over images
    assert (grounds > 0.5 * given).all()
