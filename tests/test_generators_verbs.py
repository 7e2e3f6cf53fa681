"""Third-party generators on the command line: every verb takes them, whatever they make."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from strangers import NEEDS, SOURCES, D, Net, write_nets
from torch import nn

import latentry as lt
from latentry.cli import main
from latentry.data.array_data import load_array
from latentry.data.recovered import load_codes
from latentry.reports.drawings import drawn


def result(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "results.json").read_text())["result"]
    return content


def run(*words: str | Path) -> None:
    assert main([str(word) for word in words]) == 0


def refused(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    assert main([str(word) for word in words]) == 2
    return capsys.readouterr().err


QUICK = ("--self_check", "0", "--restarts", "2")


@pytest.mark.parametrize("kind", SOURCES)
def test_every_kind_of_source_goes_through_sample_and_recover(kind: str, tmp_path: Path) -> None:
    if kind in NEEDS:
        pytest.importorskip(NEEDS[kind])
    source = SOURCES[kind](tmp_path)
    run("sample", "--generator", source, "--count", "6", "--out", tmp_path / "sample")
    drawn_codes = load_file(tmp_path / "sample" / "codes.safetensors")
    np.save(tmp_path / "x.npy", drawn_codes["x"].numpy())
    run("recover", "--data", tmp_path / "x.npy", "--generator", source, "--out", tmp_path / "found", *QUICK)
    assert result(tmp_path / "found")["success"]["met"]["value"] == 1
    found = load_codes(tmp_path / "found" / "codes").z
    torch.testing.assert_close(found, drawn_codes["z"], atol=1e-3, rtol=0)


@pytest.mark.parametrize(("name", "options"), [("signal", ()), ("net", ("--prior", "uniform"))])
def test_signals_and_vectors_go_through_evaluate_and_train(name: str, options: Sequence[str], tmp_path: Path) -> None:
    source = f"{write_nets(tmp_path)}:{name}"
    model = lt.load_generator(source)
    x = model.decode(model.prior.sample(40)).numpy()
    np.savez(tmp_path / "x.npz", x=x)
    run(
        "evaluate", "--generator", source, "--data", tmp_path / "x.npz", "--count", "40", "--rules", "[lerp]",
        "--t", "[0.5]", "--out", tmp_path / "evaluated", *options,
    )  # fmt: skip
    first = result(tmp_path / "evaluated")["rows"][0]
    assert np.isfinite(first["samples"]["frechet_distance"]["value"])
    assert ("assumed" in str(result(tmp_path / "evaluated")["notes"])) == (not options)
    run("train", "inverse", "--generator", source, "--steps", "3", "--out", tmp_path / "inverse", *options)
    assert (tmp_path / "inverse" / "pairs.png").exists()


def test_a_generator_of_digits_in_a_file_goes_through_decompose_and_edit(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(DIGITS)
    common = ("--generator", f"{tmp_path / 'own.py'}:digits", "--per_label", "20", "--data", "digits", "--count", "1")
    run("decompose", *common, "--report_codes", "100", "--out", tmp_path / "basis")
    run("edit", "rotate", *common, "--turns", "3:8:90", "--out", tmp_path / "edited")
    edited = load_file(tmp_path / "edited" / "codes.safetensors")
    assert edited["z"].shape[1] == 64


DIGITS = """
import latentry as lt

def digits():
    return lt.load_model("digits-generator").generator
"""
PICTURES = """
import torch
from torch import nn

def unit():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 64), nn.Sigmoid(), nn.Unflatten(1, (1, 8, 8)))
"""


def test_images_in_another_range_are_not_guessed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own.py").write_text(PICTURES.replace("    torch.manual_seed(0)\n", ""))
    source = f"{tmp_path / 'own.py'}:unit"
    said = refused(capsys, "sample", "--generator", source, "--out", tmp_path / "a")
    assert "which look like [0,1]; say what their range is with --output_range '[0,1]'" in said
    run("sample", "--generator", source, "--output_range", "[0,1]", "--count", "3", "--out", tmp_path / "b")
    x = load_file(tmp_path / "b" / "codes.safetensors")["x"]
    assert x.min() < 0
    assert x.abs().max() <= 1


def test_what_a_verb_cannot_do_with_other_data_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = f"{write_nets(tmp_path)}:net"
    np.save(tmp_path / "wrong.npy", np.zeros((5, 7)))
    out = ("--out", tmp_path / "out")
    assert "generator of square images" in refused(capsys, "decompose", "--generator", source, *out)
    said = refused(capsys, "recover", "--data", tmp_path / "wrong.npy", "--generator", source, *out)
    assert "expected data of shape (n, 12) in " in said
    said = refused(capsys, "evaluate", "--generator", source, *out)
    assert "expected a file of data (.npy, .npz, .csv, .safetensors)" in said
    said = refused(capsys, "recover", "--data", tmp_path / "wrong.npy", "--downsample", "2", "--generator", source, *out)
    assert "expected a generator of square images for --downsample" in said
    assert "did you mean 'net'" in refused(capsys, "sample", "--generator", f"{source}x", *out)
    said = refused(capsys, "sample", "--generator", f"{tmp_path / 'nets.py'}:both", *out)
    assert "got its own" in said
    run("sample", "--generator", f"{tmp_path / 'nets.py'}:both", "--prior", "normal", "--count", "2", *out)


def test_outputs_by_a_key_and_codes_of_a_shape(tmp_path: Path) -> None:
    source = f"{write_nets(tmp_path)}:several"
    run("sample", "--generator", source, "--output_key", "x", "--count", "2", "--out", tmp_path / "a")
    assert load_file(tmp_path / "a" / "codes.safetensors")["x"].shape == (2, 12)
    source = f"{tmp_path / 'nets.py'}:spatial"
    run("sample", "--generator", source, "--code_shape", "[1,2,2]", "--count", "2", "--out", tmp_path / "b")
    assert load_file(tmp_path / "b" / "codes.safetensors")["z"].shape == (2, D)


class Pickled(nn.Module):
    """A module that is pickled whole."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(D, 12)


def test_convert_takes_weights_out_of_a_pickle_where_it_may(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(Net(), tmp_path / "net.pt")
    out = tmp_path / "net.safetensors"
    said = refused(capsys, "convert", tmp_path / "net.pt", "--out", out)
    assert "got more, which only unpickling reads, and that can run code; if you trust it, pass --allow_pickle" in said
    assert not out.exists()
    run("convert", tmp_path / "net.pt", "--out", out, "--allow_pickle")
    model = lt.load_generator(f"{write_nets(tmp_path)}:Net@{out}")
    z = torch.randn(3, D)
    torch.testing.assert_close(model.decode(z), Net()(z).detach())
    assert "which is there; choose another --out" in refused(capsys, "convert", tmp_path / "net.pt", "--out", out)


def test_convert_takes_one_of_several_state_dicts_without_unpickling(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"g": Net().state_dict(), "g_ema": Pickled().state_dict()}, tmp_path / "both.pt")
    out = tmp_path / "g.safetensors"
    assert "got g, g_ema; take one out" in refused(capsys, "convert", tmp_path / "both.pt", "--out", out)
    run("convert", tmp_path / "both.pt", "--key", "g", "--out", out)
    assert sorted(load_file(out)) == ["first.bias", "first.weight"]


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv", ".safetensors"])
def test_data_of_every_kind_of_file_are_the_same(suffix: str, tmp_path: Path) -> None:
    x = torch.arange(24.0).reshape(4, 2, 3)
    path = tmp_path / f"x{suffix}"
    if suffix == ".npy":
        np.save(path, x.numpy())
    elif suffix == ".npz":
        np.savez(path, x=x.numpy(), y=np.zeros(4))
    elif suffix == ".csv":
        np.savetxt(path, x.flatten(1).numpy(), delimiter=",", header="a,b,c,d,e,f", comments="")
    else:
        from safetensors.torch import save_file

        save_file({"x": x}, path)
    torch.testing.assert_close(load_array(path, (2, 3)), x)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("1,2\n3\n", "expected 2 numbers in each line of .*, got '3' in line 2; correct it"),
        ("1,2\n3,a\n", "got '3, a' in line 2"),
        ("1,nan\n", "expected finite numbers in"),
        ("", r"expected data of shape \(n, 2\)"),
    ],
)
def test_a_broken_table_is_named(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(content)
    with pytest.raises(ValueError, match=said):
        load_array(tmp_path / "x.csv", (2,))


def test_a_drawn_curve_is_where_its_signal_is() -> None:
    (picture,) = drawn([torch.stack([torch.zeros(20), torch.ones(20)])])
    ink = (picture[:, 0] < 0).float()
    assert ink[0].sum(1).argmax() > ink[1].sum(1).argmax()  # the larger value stands higher
    (cells,) = drawn([torch.tensor([[0.0, 0.5, 1.0]])])
    assert cells[0, 0, 0, ::8].tolist() == [-1, 0, 1]
    (maps,) = drawn([torch.rand(2, 5, 4, 3)])
    assert maps.shape == (2, 1, 4, 15)
