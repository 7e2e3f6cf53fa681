"""Files of other programs, written with exactly their names and shapes, give the codes and directions that they hold."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

import latentry as lt
from latentry.data.code_files import load_code_file
from latentry.latent.basis_files import load_basis

rng = np.random.default_rng(0)


def test_styles_of_the_projector_of_stylegan_are_codes_of_w_plus(tmp_path: Path) -> None:
    """`np.savez(f'{outdir}/projected_w.npz', w=projected_w.unsqueeze(0).cpu().numpy())` of projector.py."""
    w = rng.standard_normal((1, 18, 512)).astype(np.float32)
    np.savez(tmp_path / "projected_w.npz", w=w)
    codes = load_code_file(tmp_path / "projected_w.npz")
    assert codes.shape == (1, 18 * 512)
    assert_close(codes.view(1, 18, 512), torch.from_numpy(w))


def test_a_boundary_of_interfacegan_is_a_direction(tmp_path: Path) -> None:
    """`np.save(os.path.join(args.output_dir, 'boundary.npy'), boundary)` of train_boundary.py, `(1, d)` of norm 1."""
    boundary = rng.standard_normal((1, 512)).astype(np.float32)
    boundary /= np.linalg.norm(boundary)
    np.save(tmp_path / "boundary.npy", boundary)
    basis = load_basis(tmp_path / "boundary.npy")
    assert_close(basis.vectors, torch.from_numpy(boundary))
    z = torch.randn(5, 512)
    assert_close(basis.coefficients(z)[:, 0], z @ basis.vectors[0])  # distances to the boundary
    assert_close(basis.coefficients(lt.operators.translate(z, basis.vectors[0], 3.0)), basis.coefficients(z) + 3)


@pytest.mark.parametrize("space", ["z", "w"])
def test_components_of_ganspace_count_standard_deviations(space: str, tmp_path: Path) -> None:
    """The arrays of `compute` in decomposition.py; `lat_stdev` is 1 in Z."""
    k, d, act = 6, 32, (1, 8, 4, 4)
    components = np.linalg.qr(rng.standard_normal((d, k)))[0].T.astype(np.float32)
    stdev = np.ones(k, np.float32) if space == "z" else np.linspace(3, 1, k, dtype=np.float32)
    mean = rng.standard_normal((1, d)).astype(np.float32)
    np.savez_compressed(
        tmp_path / "components.npz",
        act_comp=rng.standard_normal((k, *act)).astype(np.float32),
        act_mean=rng.standard_normal(act).astype(np.float32),
        act_stdev=np.linspace(3, 1, k, dtype=np.float32),
        lat_comp=components[:, None],
        lat_mean=mean,
        lat_stdev=stdev,
        var_ratio=np.full(k, 0.1, np.float32),
        random_stdevs=np.ones(k, np.float32),
    )
    basis = load_basis(tmp_path / "components.npz")
    assert (basis.vectors.shape, basis.num_labels, basis.orthogonal) == ((k, d), 0, True)
    sigma = torch.linspace(-2, 2, k)
    z = torch.from_numpy(mean + (sigma.numpy() * stdev) @ components)
    assert_close(basis.coefficients(z)[0], sigma, atol=1e-5, rtol=1e-5)


def test_what_holds_no_directions_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "flat.npy", np.ones(3))
    np.save(tmp_path / "zero.npy", np.zeros((1, 3)))
    np.save(tmp_path / "words.npy", np.array([["a"]]))
    np.savez(tmp_path / "other.npz", lat_comp=np.ones((2, 1, 3)))
    np.savez(tmp_path / "unfit.npz", lat_comp=np.ones((2, 1, 3)), lat_mean=np.ones((1, 4)), lat_stdev=np.ones(2))
    np.savez(tmp_path / "objects.npz", lat_comp=np.array([{}], dtype=object))
    for name, message in (
        ("none.npy", "there is no such file"),
        ("flat.npy", r"expected boundaries of shape \(m, d\)"),
        ("zero.npy", "expected finite directions other than 0"),
        ("words.npy", "expected boundaries as real numbers"),
        ("other.npz", "lacks lat_mean, lat_stdev"),
        ("unfit.npz", "2 components of 3 elements, a mean of 4"),
        ("objects.npz", "objects are not read"),
    ):
        with pytest.raises(ValueError, match=message):
            load_basis(tmp_path / name)
