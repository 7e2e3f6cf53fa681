"""The verbs: where each one lives and what it can be told."""

from dataclasses import dataclass
from typing import Any

from latentry.tasks import settings as verbs
from latentry.tasks import train_settings as trainings

__all__ = ["LATENTRY", "VERBS", "Program", "Verb", "flat"]


@dataclass(frozen=True)
class Verb:
    """One command: where it lives and what it can be told."""

    settings: type[verbs.CommonSettings]
    function: str
    positional: str | None = None
    """A setting given without a flag: one word, or several where the setting is a list."""
    meaning: str = "files or folders"
    """What it stands for."""
    resumes: bool = False
    """Whether it goes on where it was stopped."""


@dataclass(frozen=True)
class Program:
    """A command line: its name, what it is, and its verbs."""

    name: str
    description: str
    epilog: str
    verbs: dict[str, Any]
    package: str
    """Where the modules of its verbs are."""


VERBS: dict[str, Any] = {
    "study": Verb(verbs.StudySettings, "study:study"),
    "recover": Verb(verbs.RecoverSettings, "recover:recover", positional="images", resumes=True),
    "decompose": Verb(verbs.DecomposeSettings, "decompose:decompose", positional="images"),
    "edit": Verb(verbs.EditSettings, "edit:edit", positional="images"),
    "sample": Verb(verbs.SampleSettings, "sample:sample"),
    "evaluate": Verb(verbs.EvaluateSettings, "evaluate:evaluate"),
    "prior": {
        "design": Verb(verbs.PriorDesignSettings, "prior_design:design"),
        "show": Verb(verbs.PriorShowSettings, "prior:show", positional="prior", meaning="a name or a file"),
        "compare": Verb(verbs.PriorCompareSettings, "prior:compare", positional="priors", meaning="names or files"),
    },
    "train": {
        "gan": Verb(trainings.TrainGANSettings, "train:train_gan", resumes=True),
        "classifier": Verb(trainings.TrainClassifierSettings, "train:train_classifier", resumes=True),
        "inverse": Verb(trainings.TrainInverseSettings, "train_inverse:train_inverse", resumes=True),
        "encoder": Verb(trainings.TrainEncoderSettings, "train_encoder:train_encoder", resumes=True),
        "label-split": Verb(trainings.TrainLabelSplitSettings, "train_label_split:train_label_split", resumes=True),
        "semantic": Verb(trainings.TrainSemanticSettings, "train_semantic:train_semantic", resumes=True),
    },
}


LATENTRY = Program(
    "latentry",
    "Carpentry for latent spaces.",
    "A setting comes from its default, the environment (LATENTRY_TRAIN__GAN__LOOP__STEPS=10 for --loop.steps of "
    "`latentry train gan`), a file (--config) or its flag; the later beats the earlier.",
    VERBS,
    "latentry.tasks",
)


def flat(tree: dict[str, Any] = VERBS) -> dict[str, Verb]:
    """Every verb by its words, such as `train gan`."""
    found: dict[str, Verb] = {}
    for name, verb in tree.items():
        if isinstance(verb, Verb):
            found[name] = verb
        else:
            found |= {f"{name} {inner}": one for inner, one in flat(verb).items()}
    return found
