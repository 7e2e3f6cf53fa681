"""Design a prior that straight lines between codes hardly leave, and see what that buys.

Between two codes of a normal prior lie points that are no codes of it: in 100 dimensions their norms alone tell nearly all
of them from codes. A prior can be designed so that they look more like codes. Or the prior stays what it is and the path is
bent, by transport, so that its codes are codes of the prior. The last columns show both: how many mid-points a test of their
own elements tells from the prior at 5 %.

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
        found = lt.mismatch(prior, 0.5)
        walks = path_codes(prior, rules=("lerp", "transport"), t=(0.5,), n=2000, rng=torch.Generator().manual_seed(0))
        _, straight, transport = (rejected_codes(codes.z, prior).value for codes in walks)
        numbers = (lt.priors.summarize(prior).std, found.divergence.item(), found.norm_distance.item(), straight, transport)
        print(f"{name:<10}" + "".join(f"{number:>16.3g}" for number in numbers))


if __name__ == "__main__":
    main()
