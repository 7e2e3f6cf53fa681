"""The command line of the experiments: `python -m experiments recovery --preset quick`.

A preset is a file of settings in the folder of the experiment. `quick` is a rehearsal of a minute or less whose numbers
mean nothing, `full` is what the results in `evidence/` were made with, and `paper` has the sizes of the paper, for a GPU.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.priors.settings import PriorsSettings
from experiments.recovery.settings import RecoverySettings
from experiments.semantics.settings import SemanticsSettings
from experiments.spectrum.settings import SpectrumSettings
from experiments.split.settings import SplitSettings
from latentry.cli import Program, Verb, main
from latentry.cli.exits import INVALID

__all__ = ["EXPERIMENTS", "with_presets"]

_SETTINGS = {
    "recovery": RecoverySettings,
    "spectrum": SpectrumSettings,
    "priors": PriorsSettings,
    "semantics": SemanticsSettings,
    "split": SplitSettings,
}
EXPERIMENTS = Program(
    "python -m experiments",
    "The experiments behind the results of Latentry, one for each paper.",
    "Settings come from a preset (--preset quick, full or paper), a file (--config) and flags; the later beats the earlier.",
    {name: Verb(settings, f"{name}.run:run", resumes=True) for name, settings in _SETTINGS.items()},
    "experiments",
)


def with_presets(arguments: Sequence[str]) -> list[str]:
    """Arguments in which `--preset NAME` is the file of that preset of the experiment that is named first."""
    words = [
        word
        for argument in arguments
        for word in (argument.split("=", 1) if argument.startswith("--preset=") else [argument])
    ]
    if "--preset" not in words[:-1]:
        return words
    at = words.index("--preset")
    folder, name = Path(__file__).parent / words[0] / "presets", words[at + 1]
    if not (folder / f"{name}.yaml").is_file():
        known = ", ".join(sorted(path.stem for path in folder.glob("*.yaml"))) or "none"
        print(f"{EXPERIMENTS.name}: expected a preset of {words[0]}, one of {known}, got {name!r}", file=sys.stderr)
        raise SystemExit(INVALID)
    return [*words[:at], "--config", str(folder / f"{name}.yaml"), *words[at + 2 :]]


if __name__ == "__main__":
    sys.exit(main(with_presets(sys.argv[1:]), EXPERIMENTS))
