"""A generator of table rows: vectors whose columns have their own units.

python examples/your_own/table_of_vectors.py
"""

import torch
from torch import nn

import latentry as lt

torch.manual_seed(0)
units = torch.tensor([1.0, 100.0, 0.01, 5.0, 1000.0, 1.0, 0.1, 20.0, 3.0, 50.0])
network = nn.Sequential(nn.Linear(5, 40), nn.Tanh(), nn.Linear(40, 10)).eval()


def generator(z: torch.Tensor) -> torch.Tensor:
    return network(z) * units


prior = lt.priors.Normal(5)
z = prior.sample(200)
rows = generator(z).detach()

# columns count alike only in one unit: compare them after division by it
by_unit = lt.metrics.Difference(operator=lambda x: x / units)
found = lt.recover_codes(generator, rows / units, prior, difference=by_unit, progress=None)
print(f"{int(found.met.sum())} of 200 rows made again, codes to {(found.z - z).abs().max():.0e}")
fit = lt.goodness_of_fit(found.z, prior)
print(fit.verdict)
fit.plot().savefig("table_of_vectors.png")
