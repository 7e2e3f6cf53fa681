"""A generator in a file: TorchScript here; `torch.export`, ONNX, or weights beside their class are read likewise.

python examples/your_own/torchscript_file.py
"""

import tempfile
import warnings
from pathlib import Path

import torch
from torch import nn

import latentry as lt

torch.manual_seed(0)
network = nn.Sequential(
    nn.ConvTranspose2d(20, 32, 7), nn.SiLU(), nn.ConvTranspose2d(32, 1, 4, 4), nn.Tanh()
).eval()  # codes (n, 20, 1, 1), as those of a DCGAN
with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torch deprecates TorchScript
    path = Path(folder) / "network.pt"
    torch.jit.trace(network, torch.zeros(2, 20, 1, 1)).save(str(path))
    model = lt.load_generator(path, code_shape=(20, 1, 1))

print(f"codes {model.code_shape}, assumed prior {model.prior}")
z = model.prior.sample(8)
found = lt.recover_codes(model.generator, model.decode(z), model.prior, progress=None)
print(f"{int(found.met.sum())} of 8 images made again, codes to {(found.z - z).abs().max():.0e}")
found.plot(model.decode(z)).savefig("torchscript_file.png")
