"""What is no generator is refused in one sentence: what it holds, what was expected, and what to write."""

import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from strangers import D, Net, write_nets, write_onnx, write_safetensors, write_state_dict
from torch import Tensor, nn

import latentry as lt

HEAD = "import torch\nfrom torch import nn\n"


def written(text: str, name: str = "call") -> Callable[[Path], str]:
    """A source in a file of this text."""

    def write(folder: Path) -> str:
        (folder / "own.py").write_text(HEAD + text)
        return f"{folder / 'own.py'}:{name}"

    return write


def in_file(name: str, content: bytes) -> Callable[[Path], str]:
    def write(folder: Path) -> str:
        (folder / name).write_bytes(content)
        return str(folder / name)

    return write


def pickled(thing: Any, name: str = "net.pt") -> Callable[[Path], str]:
    def write(folder: Path) -> str:
        torch.save(thing, folder / name)
        return str(folder / name)

    return write


def script_of_one_batch(folder: Path) -> str:
    class Fixed(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return z.reshape(2, 4) * 2

    with pytest.warns(DeprecationWarning, match="jit"):
        torch.jit.trace(Fixed(), torch.zeros(2, D)).save(folder / "fixed.pt")
    return str(folder / "fixed.pt")


def exported(module: nn.Module, *inputs: Tensor) -> Callable[[Path], str]:
    def write(folder: Path) -> str:
        torch.export.save(torch.export.export(module.eval(), inputs), folder / "net.pt2")
        return str(folder / "net.pt2")

    return write


class Two(nn.Module):
    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        return z + y


class Evil:
    """Would write a file where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("/tmp/latentry-was-unpickled"),)


def export_with_a_pickle(folder: Path) -> str:
    source = exported(nn.Linear(D, 3), torch.zeros(2, D))(folder)
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = next(name for name in members if "sample_inputs" in name)
    torch.save(Evil(), folder / "evil")
    members[name] = (folder / "evil").read_bytes()
    with zipfile.ZipFile(source, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return source


OTHERS = """
class Other(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Linear(4, 12)


class Wide(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(9, 12)
"""


def beside(make: str, weights: Callable[[Path], Path]) -> Callable[[Path], str]:
    return lambda folder: f"{written(OTHERS, make)(folder)}@{weights(folder)}"


def net(name: str, weights: Callable[[Path], Path] | None = None) -> Callable[[Path], str]:
    return lambda folder: f"{write_nets(folder)}:{name}" + (f"@{weights(folder)}" if weights else "")


def several_dicts(folder: Path) -> Path:
    torch.save({"g": Net().state_dict(), "g_ema": Net().state_dict()}, folder / "both.pt")
    return folder / "both.pt"


def spoilt(folder: Path) -> Path:
    torch.save({name: value * torch.nan for name, value in Net().state_dict().items()}, folder / "nan.pt")
    return folder / "nan.pt"


WRONG: dict[str, tuple[Callable[[Path], str], dict[str, Any], str]] = {
    "nothing there": (
        lambda folder: str(folder / "none.pt"),
        {},
        "expected a generator, got .*none.pt', which is neither a file nor one of the shipped models",
    ),
    "a name that is none": (
        lambda folder: "digits-generater",
        {},
        "expected a generator, got 'digits-generater', which is neither a file nor",
    ),
    "an empty file": (in_file("net.pt", b""), {}, "net.pt, got an empty file; save it again"),
    "another suffix": (in_file("net.h5", b"\x89HDF"), {}, r"got a file of another kind \(.h5\); a generator is"),
    "noise": (
        in_file("net.pt", b"noise" * 50),
        {},
        "got a pickle, which can run code and is not opened; if you trust it, `latentry",
    ),
    "a cut archive": (
        in_file("net.pt2", b"PK\x03\x04cut"),
        {},
        "expected an archive of torch.export in .* got a file that is none",
    ),
    "a folder of anything": (lambda folder: str(folder), {}, "got a folder without config.json; name a file of it"),
    "a file without a name": (
        lambda folder: str(write_nets(folder)),
        {},
        r"got none; write .*nets.py:Net \(the file has Net, Sized",
    ),
    "a missing Python file": (
        lambda folder: f"{folder}/none.py:Net",
        {},
        "expected a Python file at .*none.py, found none; check",
    ),
    "a name that is not in it": (net("Nett"), {}, "expected a generator Nett in .*nets.py, found none; did you mean 'Net'"),
    "a name that is no callable": (
        written("call = 3\n"),
        {},
        "or a function without arguments that makes one, got int; name another",
    ),
    "a class with arguments": (net("Sized"), {}, r"made without arguments, got Sized\(size\); write a function"),
    "a factory that fails": (
        written("def call():\n    raise KeyError('weights')\n"),
        {},
        "to make a generator, got KeyError: 'weights'; mend it",
    ),
    "a factory of nothing": (
        written("def call():\n    return 3\n"),
        {},
        "to return a module or a function z -> x, got int; return one",
    ),
    "a file that does not import": (
        written("import not_there\n"),
        {},
        "own.py, line 3, to run, got ModuleNotFoundError: No module named 'not_there'",
    ),
    "a file with a slip": (written("def call(:\n"), {}, "own.py, line 3, to run, got SyntaxError"),
    "a module that is not there": (
        lambda folder: "not_there.nets:Net",
        {},
        "expected a Python module not_there.nets, found no not_there; install",
    ),
    "weights alone": (
        lambda folder: str(write_safetensors(folder)),
        {},
        "got weights alone; name the class that they belong to: file.py:Class@",
    ),
    "a state dict alone": (
        lambda folder: str(write_state_dict(folder)),
        {},
        r"got weights alone \(2 entries\); name the class",
    ),
    "a pickled module": (
        pickled(nn.Linear(4, 3)),
        {},
        "a pickle, which can run code and is not opened; .* `latentry convert .*--allow_pickle",
    ),
    "a pickle": (
        in_file("net.pkl", pickle.dumps({"a": {1, 2}, "b": Evil()})),
        {},
        "got a pickle, which can run code and is not opened",
    ),
    "missing keys": (
        beside("Other", write_safetensors),
        {},
        "weights of Other in .*, got others: without last.weight, last.bias, with first",
    ),
    "other sizes": (
        beside("Wide", write_safetensors),
        {},
        r"expected first.weight of shape \(12, 9\) for Wide, got \(12, 4\)",
    ),
    "several state dicts": (net("Net", several_dicts), {}, "got g, g_ema; take one out: `latentry convert .*--key g --out"),
    "weights that are NaN": (net("Net", spoilt), {}, "expected finite weights in .*, got NaN or infinity in first"),
    "weights that are not there": (
        net("Net", lambda folder: folder / "none.pt"),
        {},
        "expected weights at .*none.pt, found none",
    ),
    "weights for a function": (net("call", write_safetensors), {}, "expected a module to put the weights of"),
    "a script of one batch": (
        script_of_one_batch,
        {"code_shape": 4},
        "any number of codes, got Fixed, which takes 2 at a time but not 3; export",
    ),
    "an export of one batch": (
        exported(nn.Linear(D, 3), torch.zeros(2, D)),
        {},
        "exported for exactly 2; export it with dynamic_shapes=",
    ),
    "an export of two inputs": (
        exported(Two(), torch.zeros(2, D), torch.zeros(2, D)),
        {},
        r"expected a program of one input, codes, .* got one of 2 \(z, y\)",
    ),
    "an export with a pickle in it": (
        export_with_a_pickle,
        {},
        "data/sample_inputs/model.pt, which is pickled or compiled and could run code",
    ),
    "another code shape": (
        net("Net"),
        {"code_shape": 7},
        r"to take codes of shape \(n, 7\), as code_shape sets, got RuntimeError: mat1",
    ),
    "no code shape": (net("Net"), {"code_shape": (0, 2)}, r"expected the shape of one code as whole numbers, got \(0, 2\)"),
    "an open code shape": (
        written("call = nn.Conv2d(4, 3, 3, padding=1)\n"),
        {},
        r"begins with a convolution of 4 channels.* write code_shape=\(d,\)",
    ),
    "any length of a code": (
        written("def call(z):\n    return z * 2\n"),
        {},
        "expected a generator that tells the shape of its codes, got call",
    ),
    "a prior of another length": (
        net("Net"),
        {"prior": lt.priors.Normal(9)},
        "codes of shape \\(n, 9\\), as the codes of the prior are",
    ),
    "a prior and a shape apart": (
        net("Net"),
        {"prior": lt.priors.Normal(9), "code_shape": 4},
        "expected a prior of length 4, as the generator .* got one of length 9",
    ),
    "what is no prior": (net("Net"), {"prior": 3}, "expected a prior, got int"),
    "complex data": (
        written("def call(z):\n    return torch.fft.fft(z[:, :4])\n"),
        {"code_shape": 4},
        "expected real numbers from the generator, got torch.complex64",
    ),
    "no gradient": (
        written("@torch.no_grad()\ndef call(z):\n    return z[:, :3] * 2\n"),
        {"code_shape": 4},
        "expected a differentiable generator, got an output without gradient",
    ),
    "noise in it": (
        written("def call(z):\n    return z + torch.randn_like(z)\n"),
        {"code_shape": 4},
        "expected a deterministic generator, got outputs that differ",
    ),
    "NaN in it": (
        written("def call(z):\n    return z / 0 * 0\n"),
        {"code_shape": 4},
        "expected finite data from the generator, got NaN",
    ),
    "rows that depend on each other": (
        written("def call(z):\n    return z - z.mean(0)\n"),
        {"code_shape": 4},
        "expected each row to depend on its own code",
    ),
    "several outputs": (
        net("several"),
        {},
        r"to return one tensor, got x \(.*\), mean \(.*\); name the one with output='x'",
    ),
    "an output that is none": (
        net("several"),
        {"output": "logits"},
        r"expected a tensor 'logits' in what the generator returns, got only x",
    ),
    "no tensor": (written("def call(z):\n    return z.detach().numpy()\n"), {"code_shape": 4}, "ndarray"),
    "a range upside down": (
        net("unit"),
        {"output_range": (1, 0)},
        "expected an output range of two numbers, the lower one first, got",
    ),
    "more for a shipped model": (
        lambda folder: "digits-generator",
        {"code_shape": 64},
        "which says itself how its generator is called, got code_shape besides; leave",
    ),
    "a hub name that is none": (
        lambda folder: "hf:name",
        {},
        "expected hf:owner/name or hf:owner/name/subfolder, got 'hf:name'",
    ),
    "a hub name that is not in the cache": (
        lambda folder: "hf:nobody/nothing",
        {},
        "nothing is downloaded by default: allow it with download=True",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_generator_is_refused_in_one_sentence(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    write, arguments, said = WRONG[case]
    source = write(tmp_path)
    with pytest.raises(ValueError, match=said) as caught:
        lt.load_generator(source, **arguments)
    assert "\n" not in str(caught.value)
    assert "; " in str(caught.value), "the way out follows"
    assert not Path("/tmp/latentry-was-unpickled").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            {"operator": "Frobnicate", "domain": "own.domain"},
            "expected operators that can be converted to torch in .*, got Frobnicate",
        ),
        ({"batch": 1}, "exported for exactly 1; export it with dynamic_axes"),
    ],
)
def test_an_onnx_model_that_is_no_generator_is_refused(arguments: dict[str, Any], said: str, tmp_path: Path) -> None:
    pytest.importorskip("onnx2fx")
    with pytest.raises(ValueError, match=said):
        lt.load_generator(write_onnx(tmp_path, **arguments))


def test_a_file_that_is_no_onnx_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnx2fx")
    (tmp_path / "net.onnx").write_bytes(b"noise" * 20)
    with pytest.raises(ValueError, match=r"expected an ONNX model in .*net\.onnx, got \w+"):
        lt.load_generator(tmp_path / "net.onnx")


def test_a_conversion_that_gives_other_numbers_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    onnx2fx = pytest.importorskip("onnx2fx")
    convert = onnx2fx.convert

    def wrong(model: Any) -> nn.Module:
        module: nn.Module = convert(model)
        module.get_buffer("w").mul_(2)
        return module

    monkeypatch.setattr(onnx2fx, "convert", wrong)
    with pytest.raises(ValueError, match="to give what ONNX says, got other numbers"):
        lt.load_generator(write_onnx(tmp_path))


def test_a_missing_package_is_told_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "onnx2fx", None)
    monkeypatch.setitem(sys.modules, "diffusers", None)
    (tmp_path / "net.onnx").write_bytes(b"any")
    with pytest.raises(ValueError, match=re.escape("pip install 'latentry[onnx]'")):
        lt.load_generator(tmp_path / "net.onnx")
    (tmp_path / "config.json").write_text('{"_class_name": "AutoencoderKL"}')
    with pytest.raises(ValueError, match=re.escape("pip install 'latentry[diffusers]'")):
        lt.load_generator(tmp_path)
