"""A generator whose images are in [0, 1], and whose output is a dictionary.

python examples/your_own/images_in_unit_range.py
"""

import torch
from torch import Tensor, nn

import latentry as lt


class Decoder(nn.Module):
    latent_dim = 10

    def __init__(self) -> None:
        super().__init__()
        self.paint = nn.Sequential(nn.Linear(10, 64), nn.SiLU(), nn.Linear(64, 3 * 64), nn.Sigmoid())

    def forward(self, z: Tensor) -> dict[str, Tensor]:
        return {"code": z, "image": self.paint(z).view(-1, 3, 8, 8)}


torch.manual_seed(0)
decoder = Decoder().eval()
generator = lt.as_generator(decoder, output="image", output_range=(0, 1))  # brought to [-1, 1], as all images here
prior = lt.priors.Normal(10)
z = prior.sample(8)
x = 2 * decoder(z)["image"].detach() - 1
found = lt.recover_codes(generator, x, prior, progress=None)
print(f"{int(found.met.sum())} of 8 images made again, codes to {(found.z - z).abs().max():.0e}")
found.plot(x).savefig("images_in_unit_range.png")
