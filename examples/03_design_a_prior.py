"""Design a prior whose codes look alike along straight lines, and see what that buys.

Half-way between two codes of a normal prior there is a point that is unlike a code: in 100 dimensions its norm alone shows
it. There are two ways out. A prior can be designed so that such points are more like codes. Or the prior stays, and the path
is bent by transport, so that its points are codes of the prior. The last columns show both: the share of mid-points that a
test of their elements rejects at 5 %.

    python examples/03_design_a_prior.py
"""

import tempfile
from pathlib import Path

import torch

import latentry as lt
from latentry.evaluation.paths import path_codes, rejected_codes


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "prior.json"  # for `latentry train gan --prior`, and for load_prior
        lt.priors.save_prior(path, lt.priors.design_interpolable(100, bins=1024, mix=(0.1, 0.25, 0.5)))
        designed = lt.priors.load_prior(path)

    headings = ("std", "KL of a code", "norms apart", "off, straight", "off, transport")
    print(f"{'prior':<10}" + "".join(f"{heading:>16}" for heading in headings))
    for name, prior in (("normal", lt.priors.Normal(100)), ("designed", designed)):
        found = lt.priors.mismatch(prior, 0.5)
        walks = path_codes(prior, rules=("lerp", "transport"), t=(0.5,), count=2000, rng=torch.Generator().manual_seed(0))
        _, straight, transport = (rejected_codes(codes.z, prior).value for codes in walks)
        numbers = (lt.priors.summarize(prior).std, found.divergence.item(), found.norm_distance.item(), straight, transport)
        print(f"{name:<10}" + "".join(f"{number:>16.3g}" for number in numbers))


if __name__ == "__main__":
    main()
