"""Small third-party generators of known answers, written to files in each of the forms that `load_generator` reads."""

import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

D, SIZE = 4, 12

NETS = '''
"""A user's own file."""

import torch
from torch import nn

from layers import squashed

D, SIZE = 4, 12


class Net(nn.Module):
    """Vectors that tell their code: an injective map, squashed."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(D, SIZE)
        with torch.no_grad():
            self.first.weight.copy_(torch.sin(torch.arange(D * SIZE) ** 1.5).view(SIZE, D) / 2)
            self.first.bias.zero_()

    def forward(self, z):
        return squashed(self.first(z))


class Sized(nn.Module):
    def __init__(self, size):
        super().__init__()


net = Net().eval()


def make():
    return Net()


def call(z):
    return net(z)


def spatial(z):
    return net(z.flatten(1)).reshape(-1, 1, 3, 4)


def signal(z):
    return net(z).reshape(-1, 2, 6)


def several(z):
    return {"x": net(z), "mean": z.mean(1)}


def unit(z):
    return 0.5 + 0.5 * net(z)


def half():
    return Net().to(torch.bfloat16)


class Wide:
    latent_dim = D

    def sample(self, shape=(), y=None, *, rng=None):
        return 2 * torch.randn(*shape, D, generator=rng)


class Both:
    generator, prior = net, Wide()


def both():
    return Both()
'''
"""A file of a user's that imports another one beside it."""


class Net(nn.Module):
    """The network of `NETS`."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(D, SIZE)
        with torch.no_grad():
            self.first.weight.copy_(torch.sin(torch.arange(D * SIZE) ** 1.5).view(SIZE, D) / 2)
            self.first.bias.zero_()

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Vectors of codes."""
        return torch.tanh(self.first(z))


def write_nets(folder: Path) -> Path:
    """The user's two files; the one with the generators."""
    (folder / "layers.py").write_text("import torch\n\ndef squashed(x):\n    return torch.tanh(x)\n")
    (folder / "nets.py").write_text(NETS)
    return folder / "nets.py"


def write_script(folder: Path) -> Path:
    """TorchScript."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(Net()).save(folder / "net.pt")
    return folder / "net.pt"


def write_exported(folder: Path) -> Path:
    """An archive of `torch.export`."""
    shapes = ({0: torch.export.Dim("n")},)
    torch.export.save(torch.export.export(Net().eval(), (torch.zeros(2, D),), dynamic_shapes=shapes), folder / "net.pt2")
    return folder / "net.pt2"


def write_safetensors(folder: Path) -> Path:
    """Weights alone."""
    save_file({name: value.contiguous() for name, value in Net().state_dict().items()}, folder / "net.safetensors")
    return folder / "net.safetensors"


def write_state_dict(folder: Path) -> Path:
    """A state dict of `torch.save`, within another dict and under the names of `DataParallel`."""
    state = {f"module.{name}": value for name, value in Net().state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state}, folder / "net.pth")
    return folder / "net.pth"


def write_onnx(folder: Path, operator: str = "Tanh", batch: int | str = "n", domain: str = "") -> Path:
    """An ONNX model of one linear layer and one operator."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    net = Net()
    weights = [
        numpy_helper.from_array(net.first.weight.detach().numpy().T.copy(), "w"),
        numpy_helper.from_array(net.first.bias.detach().numpy(), "b"),
    ]
    nodes = [
        helper.make_node("MatMul", ["z", "w"], ["h"]),
        helper.make_node("Add", ["h", "b"], ["k"]),
        helper.make_node(operator, ["k"], ["x"], domain=domain),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, size]) for name, size in (("z", D), ("x", SIZE))]
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], weights)
    versions = [helper.make_opsetid("", 18), *([helper.make_opsetid(domain, 1)] if domain else [])]
    onnx.save(helper.make_model(graph, opset_imports=versions, ir_version=9), folder / "net.onnx")
    return folder / "net.onnx"


def write_autoencoder(folder: Path) -> Path:
    """A tiny autoencoder of diffusers."""
    import diffusers

    blocks = ("DownEncoderBlock2D", "DownEncoderBlock2D"), ("UpDecoderBlock2D", "UpDecoderBlock2D")
    diffusers.AutoencoderKL(
        down_block_types=blocks[0], up_block_types=blocks[1], block_out_channels=(8, 8), norm_num_groups=2,
        latent_channels=2, sample_size=4, layers_per_block=1, scaling_factor=0.5, shift_factor=0.25,
    ).save_pretrained(folder / "vae")  # fmt: skip
    return folder / "vae"


SOURCES: dict[str, Callable[[Path], str]] = {
    "class in a file": lambda folder: f"{write_nets(folder)}:Net",
    "factory in a file": lambda folder: f"{write_nets(folder)}:make",
    "module in a file": lambda folder: f"{write_nets(folder)}:net",
    "function in a file": lambda folder: f"{write_nets(folder)}:call",
    "TorchScript": lambda folder: str(write_script(folder)),
    "torch.export": lambda folder: str(write_exported(folder)),
    "safetensors": lambda folder: f"{write_nets(folder)}:Net@{write_safetensors(folder)}",
    "state dict": lambda folder: f"{write_nets(folder)}:Net@{write_state_dict(folder)}",
    "ONNX": lambda folder: str(write_onnx(folder)),
}
"""Sources of the same network in every form."""
NEEDS = {"ONNX": "onnx2fx", "diffusers": "diffusers"}
"""Optional packages."""
