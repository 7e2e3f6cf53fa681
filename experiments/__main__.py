"""The command line of the experiments: `python -m experiments recovery --preset quick`.

A preset is a file of settings in the folder of the experiment. `quick` is a rehearsal of a minute or less whose numbers
mean nothing, `full` is what the results in `evidence/` were made with, and `paper` has the sizes of the paper, for a GPU.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.priors.settings import PriorsSettings
from experiments.recovery.settings import RecoverySettings
from experiments.semantics.settings import SemanticsSettings
from experiments.spectrum.settings import SpectrumSettings
from experiments.split.settings import SplitSettings
from latentry.cli import Program, Verb, main
from latentry.cli.endings import MISUSED

__all__ = ["EXPERIMENTS", "with_presets"]

_HOME = Path(__file__).parent
_VERBS: dict[str, Any] = {
    "recovery": Verb(RecoverySettings, "recovery.run:run", resumes=True),
    "spectrum": Verb(SpectrumSettings, "spectrum.run:run", resumes=True),
    "priors": Verb(PriorsSettings, "priors.run:run", resumes=True),
    "semantics": Verb(SemanticsSettings, "semantics.run:run", resumes=True),
    "split": Verb(SplitSettings, "split.run:run", resumes=True),
}
EXPERIMENTS = Program(
    "python -m experiments",
    "The experiments behind the results of Latentry, one for each paper.",
    "Settings come from a preset (--preset quick, full or paper), a file (--config) and flags; the later beats the earlier.",
    _VERBS,
    "experiments",
)


def with_presets(arguments: Sequence[str]) -> list[str]:
    """Arguments in which `--preset NAME` is the file of that preset of the experiment that is named first."""
    words = [word for argument in arguments for word in _apart(argument)]
    found = []
    for before, word in zip(["", *words], words, strict=False):
        if word == "--preset":
            found.append("--config")
        elif before == "--preset":
            found.append(str(_preset(words[0], word)))
        else:
            found.append(word)
    return found


def _apart(argument: str) -> list[str]:
    """`--preset=NAME` as two words."""
    flag, equals, value = argument.partition("=")
    return [flag, value] if flag == "--preset" and equals else [argument]


def _preset(experiment: str, name: str) -> Path:
    presets = {path.stem: path for path in sorted((_HOME / experiment / "presets").glob("*.yaml"))}
    if name not in presets:
        known = ", ".join(presets) or "none"
        print(f"{EXPERIMENTS.name}: expected a preset of {experiment}, one of {known}, got {name!r}", file=sys.stderr)
        raise SystemExit(MISUSED)
    return presets[name]


if __name__ == "__main__":
    sys.exit(main(with_presets(sys.argv[1:]), EXPERIMENTS))
