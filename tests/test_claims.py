"""Figures in README and docs are those of the results that lie in `evidence/`, rounded as the pages round."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from experiments.framework.results import measured
from latentry.evaluation.seeds import SeedInterval, mean_over_seeds

ROOT = Path(__file__).parents[1]
EVIDENCE = ROOT / "evidence"
PRIORS = {
    "uniform": "uniform",
    "normal": "normal",
    "gamma": "gamma radius",
    "published": "as published",
    "designed-middle": "`design_interpolable(mix=(0.5,))`",
    "designed-all": "`design_interpolable()`",
    "designed-radius": "`design_radial()`",
}

AT_PRIOR = "prior.frechet_distance"

Claim = tuple[str, str, str]
"""Page, the beginning of the line on which it stands (or a part of it), and what has to stand there."""


def result(*path: str) -> Any:
    return json.loads(EVIDENCE.joinpath(*path).read_text())["result"]


def figures(name: str) -> Any:
    return json.loads((EVIDENCE / "benchmarks" / f"{name}.json").read_text())["figures"]


def over_seeds(of: str, kind: str, *path: str) -> SeedInterval:
    """A number of the cells `kind-0` to `kind-2`."""
    found = {}
    for seed in range(3):
        number = result(of, "cells", f"{kind}-{seed}.json")
        for name in path:
            number = number[name]
        found[seed] = float(number)
    return mean_over_seeds(found)


def decimals(found: SeedInterval) -> str:
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def percent(found: SeedInterval) -> str:
    return f"{100 * found.value:.1f} % [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def of_priors() -> Iterator[Claim]:
    page, ratio = "docs/results/priors.md", "lerp.0.5.frechet_ratio"
    rows = measured(pd.read_csv(EVIDENCE / "priors" / "results.csv"), "priors")
    for of_data in rows.values():
        for name, title in PRIORS.items():
            yield page, f"| {title}", decimals(of_data[name].mean(AT_PRIOR))
            yield page, f"| {title}", f"x{decimals(of_data[name].mean(ratio))}"
    for name in ("designed-middle", "normal"):
        yield "README.md", "Priors", decimals(rows["fashion-mnist"][name].mean(AT_PRIOR))
    for of_data in rows.values():
        yield page, "", decimals(of_data["designed-middle"].less(of_data["normal"], AT_PRIOR))


def of_spectrum() -> Iterator[Claim]:
    for criterion in ("rank_one", "rank_one_absolute"):
        for data in ("digits", "fashion-mnist"):
            found = percent(over_seeds("spectrum", f"bases-{data}", "bases", "loewdin", criterion))
            yield "docs/results/spectrum.md", "| ", found
    for criterion in ("rank_one", "rank_one_absolute"):
        found = over_seeds("spectrum", "bases-digits", "bases", "loewdin", criterion)
        yield "README.md", "Spectrum", f"{100 * found.value:.1f} %"


def of_splits() -> Iterator[Claim]:
    page = "docs/results/label-split.md"
    for data in ("digits", "fashion-mnist"):
        swaps = percent(over_seeds("split", f"scores-{data}-ours", "swap", "success", "value"))
        drawn, of_means = (
            over_seeds("split", f"scores-{data}-ours", f"leak_of_{code}", "leak") for code in ("draws", "means")
        )
        yield page, "| *means:* swaps show the label", swaps
        yield page, "| *draws:* a fresh probe", f"{100 * drawn.value:.1f} points"
        yield page, "| *means:* a fresh probe", f"{100 * of_means.value:.0f} points"
    for code, found in figures("label_split_codes").items():
        swaps = found["swaps"]
        yield page, f"{code} |", f"{100 * swaps['value']:.1f} % [{100 * swaps['low']:.1f}, {100 * swaps['high']:.1f}]"


def of_letters() -> Iterator[Claim]:
    broken = figures("broken_letters")
    yield "docs/results/semantics.md", "reverse of bold", f"{100 * broken['reversed']['-0.4']['value']:.0f} %"
    yield (
        "docs/how-to/held-out-features.md",
        "reversed letters are broken",
        f"{100 * broken['reversed']['-0.4']['value']:.0f} %",
    )
    assert broken["real light"]["-0.4"]["value"] == 0


def of_recovery() -> Iterator[Claim]:
    fresh = [found for name, found in figures("fresh_generators").items() if name.startswith("fresh")]
    total = sum(int(found["found"]) for found in fresh)
    for page in ("README.md", "docs/results/index.md"):
        yield page, "trained afresh", f"{total} of {16 * len(fresh)}"
    for found in fresh:
        yield "docs/results/recovery.md", "On each of them", f"{int(found['found'])} of 16"
    squashing = figures("before_squashing")
    adam, lbfgs = (int(squashing[f"{solver}, before the squashing"]["found"]) for solver in ("Adam", "L-BFGS"))
    yield "README.md", "Recovery", f"before the output activation, given time, {adam} of 16"
    yield "docs/results/recovery.md", "", f"finds none on pixels and {adam} before the output activation"
    on_pixels = int(squashing["L-BFGS, pixels"]["found"])
    yield "docs/results/recovery.md", "", f"L-BFGS finds {on_pixels} on pixels and {lbfgs} before the output activation"
    assert squashing["Adam, pixels"]["found"] == 0


def of_weights() -> Iterator[Claim]:
    for row, found in figures("regularizer_weights").items():
        line = "| none | 0.0" if row == "none" else f"| `L2()`, weight {row.removeprefix('L2, ')} |"
        errors = f"| {found['median_error']:.4f} | {found['mean_error']:.4f} |"
        yield "docs/results/recovery.md", line, f"{errors} {found['std']:.2f} | {found['pooled_p_value']:.1g} |"


CLAIMS = [*of_priors(), *of_spectrum(), *of_splits(), *of_letters(), *of_recovery(), *of_weights()]


@pytest.mark.parametrize(("page", "line", "figure"), CLAIMS, ids=[f"{page}: {figure}" for page, _, figure in CLAIMS])
def test_a_figure_is_that_of_its_results(page: str, line: str, figure: str) -> None:
    text = (ROOT / page).read_text().replace("**", "")
    flowing = [*text.splitlines(), " ".join(text.split())] if not line.startswith("|") else text.splitlines()
    assert any(line in part and figure in part for part in flowing)
