"""Third-party generators: every kind of source is the same map, and goes through everything that ours go through."""

import json
from pathlib import Path

import pytest
import torch
from strangers import NEEDS, SOURCES, D, Net, write_autoencoder, write_nets, write_safetensors, write_script
from torch import Tensor, nn
from torch.testing import assert_close

import latentry as lt


def loaded(kind: str, folder: Path) -> lt.GenerativeModel:
    if kind in NEEDS:
        pytest.importorskip(NEEDS[kind])
    return lt.load_generator(SOURCES[kind](folder))


def codes(model: lt.GenerativeModel, count: int = 12) -> Tensor:
    return model.prior.sample(count, rng=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("kind", SOURCES)
def test_every_kind_of_source_is_the_same_map(kind: str, tmp_path: Path) -> None:
    model = loaded(kind, tmp_path)
    z = codes(model)
    assert model.code_shape == (D,)
    with torch.no_grad():
        assert_close(model.decode(z), Net()(z))


@pytest.mark.parametrize("kind", SOURCES)
def test_every_kind_of_source_goes_through_everything(kind: str, tmp_path: Path) -> None:
    model = loaded(kind, tmp_path)
    generator, prior, z = model.generator, model.prior, codes(model)
    x = model.decode(z)

    found = lt.recover_codes(generator, x, prior, rng=torch.Generator().manual_seed(0))
    assert found.met.all()
    assert_close(found.z, z, atol=1e-3, rtol=0)
    assert lt.goodness_of_fit(found.z, prior).p_value > 0.001

    path = lt.interpolate(z[:1], z[1:2], torch.tensor([0.0, 0.5, 1.0]), prior)
    assert_close(model.decode(path[[0, 2], 0]), x[:2])

    report = lt.evaluate_samples(x, model.decode(codes(model, 24)[12:]), lambda data: data, neighbours=3)
    assert report.frechet_distance.value >= 0

    y = (z[:, 0] > 0).long()
    basis = lt.directions.fisher_directions(z, y, shrinkage=0.1, generator=generator, prior=prior)
    assert basis.generator_fingerprint == model.fingerprint
    assert_close(model.decode(lt.operators.rotate(z, torch.eye(D)[:2], 2 * torch.pi)), x, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", SOURCES)
def test_a_generator_is_kept_by_reference(kind: str, tmp_path: Path) -> None:
    model = loaded(kind, tmp_path)
    lt.save_model(tmp_path / "kept", model)
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {"config.json"}
    again = lt.load_model(tmp_path / "kept", lt.GenerativeModel, run_code=True)
    assert_close(again.decode(codes(model)), model.decode(codes(model)))
    assert (again.fingerprint, again.prior_is, again.code_shape) == (model.fingerprint, "assumed", (D,))
    assert "assumed; fit one to codes with lt.fit_prior" in repr(again)


def test_a_changed_file_is_no_longer_what_was_saved(tmp_path: Path) -> None:
    model = lt.load_generator(f"{write_nets(tmp_path)}:Net")
    lt.save_model(tmp_path / "kept", model)
    (tmp_path / "layers.py").write_text("import torch\n\ndef squashed(x):\n    return torch.sin(x)\n")
    with pytest.raises(ValueError, match=r"in which layers\.py changed; bring the file back, or load .*nets\.py:Net with"):
        lt.load_model(tmp_path / "kept", run_code=True)


def test_a_folder_runs_no_code_unless_it_may(tmp_path: Path) -> None:
    lt.save_model(tmp_path / "kept", lt.load_generator(f"{write_nets(tmp_path)}:Net"))
    (tmp_path / "nets.py").write_text("raise SystemExit('ran')")
    for load in (lt.load_model, lt.load_generator):
        with pytest.raises(ValueError, match=r"loaded without running code, got a reference to .*run_code=True"):
            load(tmp_path / "kept")
    content = json.loads((tmp_path / "kept" / "config.json").read_text())
    content["generator"]["runs_code"] = False  # a file may say what it likes
    (tmp_path / "kept" / "config.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="without running code"):
        lt.load_model(tmp_path / "kept")


def test_a_folder_with_the_file_in_it_can_be_moved(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    model = lt.load_generator(write_script(tmp_path / "kept"))
    lt.save_model(tmp_path / "kept", model)
    (tmp_path / "kept").rename(tmp_path / "moved")
    assert_close(lt.load_generator(tmp_path / "moved").decode(codes(model)), model.decode(codes(model)))


def test_a_generator_made_in_python_has_no_name_to_be_kept_by(tmp_path: Path) -> None:
    model = lt.GenerativeModel(lt.as_generator(Net()), lt.priors.Normal(D))
    with pytest.raises(ValueError, match=r"expected a generator from a file, .* got one that was made in Python"):
        lt.save_model(tmp_path / "kept", model)


def test_a_module_by_its_name_in_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_nets(tmp_path)
    monkeypatch.chdir(tmp_path)
    import sys

    model = lt.load_generator("nets:make")
    assert model.code_shape == (D,)
    for name in ("nets", "layers"):
        del sys.modules[name]


def test_two_folders_may_have_files_of_one_name(tmp_path: Path) -> None:
    for name, change in (("a", "tanh"), ("b", "sin")):
        (tmp_path / name).mkdir()
        write_nets(tmp_path / name)
        (tmp_path / name / "layers.py").write_text(f"import torch\n\ndef squashed(x):\n    return torch.{change}(x)\n")
    first, second = (lt.load_generator(f"{tmp_path / name / 'nets.py'}:Net") for name in ("a", "b"))
    z = codes(first)
    assert_close(first.decode(z), torch.tanh(Net().first(z)).detach())
    assert_close(second.decode(z), torch.sin(Net().first(z)).detach())


def test_shapes_and_ranges_and_outputs(tmp_path: Path) -> None:
    nets = write_nets(tmp_path)
    plain = lt.load_generator(f"{nets}:net")
    z = codes(plain)
    x = plain.decode(z)
    spatial = lt.load_generator(f"{nets}:spatial", code_shape=(1, 2, 2))
    assert spatial.shaped(z).shape == (12, 1, 2, 2)
    assert_close(spatial.decode(z), x.reshape(-1, 1, 3, 4))
    assert_close(lt.load_generator(f"{nets}:signal").decode(z), x.reshape(-1, 2, 6))
    assert_close(lt.load_generator(f"{nets}:several", output="x").decode(z), x)
    assert_close(lt.load_generator(f"{nets}:unit").decode(z), 0.5 + 0.5 * x)  # units are kept
    assert_close(lt.load_generator(f"{nets}:unit", output_range=(0, 1)).decode(z), x)


def test_what_is_called_with_half_precision_goes_out_as_single(tmp_path: Path) -> None:
    model = lt.load_generator(f"{write_nets(tmp_path)}:half")
    z = codes(model)
    assert model.decode(z).dtype == torch.float32
    assert_close(model.decode(z), Net()(z).detach(), atol=0.03, rtol=0)
    found = lt.recover_codes(model.generator, model.decode(z), model.prior)
    assert_close(found.z, z, atol=0.1, rtol=0)


def test_an_own_prior_comes_along(tmp_path: Path) -> None:
    model = lt.load_generator(f"{write_nets(tmp_path)}:both")
    assert model.prior_is == "own"
    assert 1.5 < model.prior.sample((500,)).std() < 2.5
    given = lt.load_generator(f"{write_nets(tmp_path)}:both", prior=lt.priors.Normal(D))
    assert (given.prior_is, repr(given.prior)) == ("given", repr(lt.priors.Normal(D)))
    lt.save_model(tmp_path / "kept", model)
    assert lt.load_model(tmp_path / "kept", run_code=True).prior_is == "own"


def test_a_shipped_model_and_its_folder_are_sources(tmp_path: Path) -> None:
    shipped = lt.load_generator("digits-generator")
    lt.save_model(tmp_path / "own", shipped)
    assert lt.load_generator(tmp_path / "own").fingerprint == shipped.fingerprint
    other = lt.load_generator("digits-generator", prior=lt.priors.Uniform(64))
    assert repr(other.prior) == repr(lt.priors.Uniform(64))


class Broadcast(nn.Module):
    """W+ of three layers."""

    w_shape = (3, 2)

    def forward(self, w: Tensor) -> Tensor:
        return torch.stack([w[:, 0].sum(1), w[:, 1].prod(1), w[:, 2, 0]], 1)


@pytest.mark.parametrize(
    ("function", "code_shape", "expected"),
    [
        (nn.Linear(5, 3), None, (5,)),
        (nn.Sequential(nn.LayerNorm(5), nn.Linear(5, 3)), None, (5,)),
        (nn.Sequential(nn.ConvTranspose2d(6, 2, 4), nn.Tanh()), None, (6, 1, 1)),
        (nn.Sequential(nn.ConvTranspose1d(6, 2, 4), nn.Tanh()), None, (6, 1)),
        (lambda z: z @ torch.ones(6, 9), None, (6,)),
        (nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.Upsample(scale_factor=2)), (4, 3, 3), (4, 3, 3)),
        (Broadcast(), (3, 2), (3, 2)),
        (nn.Linear(5, 3).forward, 5, (5,)),
    ],
)  # fmt: skip
def test_the_shape_of_codes_is_found_out(
    function: nn.Module, code_shape: tuple[int, ...] | None, expected: tuple[int, ...]
) -> None:
    generator = lt.as_generator(function, code_shape)
    assert generator.code_shape == expected
    assert len(generator(torch.zeros(3, generator.latent_dim))) == 3


@pytest.mark.parametrize("name", ["latent_dim", "z_dim", "nz"])
def test_an_attribute_tells_the_length_of_a_code(name: str) -> None:
    layer = nn.Sequential(nn.ConvTranspose2d(6, 2, 4))
    setattr(layer, name, 6)
    assert lt.as_generator(layer).code_shape == (6, 1, 1)


def test_what_is_adapted_moves_and_is_told_apart(tmp_path: Path) -> None:
    net, other = Net(), Net()
    with torch.no_grad():
        other.first.bias += 1
    first, second = (lt.as_generator(lambda z, n=n: n(z), D) for n in (net, other))
    assert [*first.state_dict()] == ["networks.0.first.weight", "networks.0.first.bias"]
    prior = lt.priors.Normal(D)
    assert lt.GenerativeModel(first, prior).fingerprint != lt.GenerativeModel(second, prior).fingerprint
    assert first.double()(torch.zeros(2, D)).dtype == torch.float64


class Attending(nn.Module):
    """Attention between the elements of a code, as autoencoders have it in their middle."""

    latent_dim = 4

    def forward(self, z: Tensor) -> Tensor:
        h = torch.stack([z, z.sin(), z.cos(), 0.5 * z], 2)
        return torch.tanh(nn.functional.scaled_dot_product_attention(h, h, h).flatten(1))


def test_a_generator_with_attention_has_the_derivatives_of_levenberg_marquardt() -> None:
    generator, prior = lt.as_generator(Attending()), lt.priors.Normal(4)
    x = generator(prior.sample(4, rng=torch.Generator().manual_seed(1))).detach()
    assert lt.recover_codes(generator, x, prior).met.all()
    full = lt.as_generator(Attending(), output_range=(-1, 1))
    assert torch.equal(full(torch.ones(2, 4)), generator(torch.ones(2, 4)))


def test_more_arguments_go_on_to_the_generator() -> None:
    generator = lt.as_generator(lambda z, scale=1.0: z * scale, 3)
    assert_close(generator(torch.ones(2, 3), 5.0), torch.full((2, 3), 5.0))


def test_weights_beside_the_class_are_those_that_count(tmp_path: Path) -> None:
    nets, weights = write_nets(tmp_path), write_safetensors(tmp_path)
    state = {name: 2 * value for name, value in Net().state_dict().items()}
    from safetensors.torch import save_file

    save_file(state, weights)
    z = codes(lt.load_generator(f"{nets}:Net"))
    twice = Net()
    twice.load_state_dict(state)
    assert_close(lt.load_generator(f"{nets}:Net@{weights}").decode(z), twice(z).detach())


def test_the_decoder_of_an_autoencoder_works_at_the_scale_of_diffusion_models(tmp_path: Path) -> None:
    diffusers = pytest.importorskip("diffusers")
    folder = write_autoencoder(tmp_path)
    model = lt.load_generator(folder)
    assert model.code_shape == (2, 2, 2)
    z = codes(model, 3)
    original = diffusers.AutoencoderKL.from_pretrained(folder, local_files_only=True)
    with torch.no_grad():
        assert_close(model.decode(z), original.decode(z.reshape(3, 2, 2, 2) / 0.5 + 0.25).sample)
    found = lt.recover_codes(model.generator, model.decode(z), model.prior)
    assert found.reconstruction_error.max() < 1e-3


def test_weights_that_the_source_does_not_give_again_are_not_saved_by_reference(tmp_path: Path) -> None:
    """They changed after the generator was loaded, or a factory draws them anew each time."""
    text = "import torch\n\n\ndef fixed():\n    torch.manual_seed(0)\n    return torch.nn.Linear(3, 4)\n\n\n"
    (tmp_path / "nets.py").write_text(text + "def drawn():\n    return torch.nn.Linear(3, 4)\n")
    model = lt.load_generator(f"{tmp_path}/nets.py:fixed")
    lt.save_model(tmp_path / "kept", model)
    z = model.prior.sample(2)
    assert torch.equal(lt.load_model(tmp_path / "kept", run_code=True).decode(z), model.decode(z))
    with torch.no_grad():
        for weight in model.generator.parameters():
            weight += 1
    for changed in (model, lt.load_generator(f"{tmp_path}/nets.py:drawn")):
        with pytest.raises(ValueError, match="other weights: they changed"):
            lt.save_model(tmp_path / "changed", changed)
