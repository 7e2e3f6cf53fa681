"""The verbs: where each one lives, and its settings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from latentry.tasks import train_settings as trainings
from latentry.tasks.convert.settings import ConvertSettings
from latentry.tasks.decompose.settings import DecomposeSettings
from latentry.tasks.edit.settings import (
    EditFeaturesSettings,
    EditHideSettings,
    EditLabelSettings,
    EditRotateSettings,
    EditSwapSettings,
)
from latentry.tasks.evaluate.settings import EvaluateSettings
from latentry.tasks.prior.settings import PriorCompareSettings, PriorDesignSettings, PriorFitSettings, PriorShowSettings
from latentry.tasks.recover.settings import RecoverSettings
from latentry.tasks.sample.settings import SampleSettings
from latentry.tasks.settings import CommonSettings
from latentry.tasks.study.settings import StudySettings

__all__ = ["LATENTRY", "VERBS", "Program", "Verb", "flat", "named_verb"]


@dataclass(frozen=True)
class Verb:
    """One command: where it lives, and its settings."""

    settings: type[CommonSettings]
    function: str
    positional: str | None = None
    """A setting without a flag: one word, or several where the setting is a list."""
    meaning: str = "files or folders"
    """What it stands for."""
    resumes: bool = False
    """Whether it continues where it was stopped."""


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
    "study": Verb(StudySettings, "study.run:study"),
    "recover": Verb(RecoverSettings, "recover.run:recover", positional="images", resumes=True),
    "decompose": Verb(DecomposeSettings, "decompose.run:decompose", positional="images"),
    "edit": {
        "label": Verb(EditLabelSettings, "edit.label:edit_label", positional="images"),
        "rotate": Verb(EditRotateSettings, "edit.rotate:edit_rotate", positional="images"),
        "swap": Verb(EditSwapSettings, "edit.swap:edit_swap", positional="images"),
        "hide": Verb(EditHideSettings, "edit.hide:edit_hide", positional="images"),
        "features": Verb(EditFeaturesSettings, "edit.features:edit_features", positional="images"),
    },
    "sample": Verb(SampleSettings, "sample.run:sample"),
    "evaluate": Verb(EvaluateSettings, "evaluate.run:evaluate"),
    "convert": Verb(ConvertSettings, "convert.run:convert", positional="weights", meaning="a file of weights"),
    "prior": {
        "design": Verb(PriorDesignSettings, "prior.design:design"),
        "fit": Verb(PriorFitSettings, "prior.fit:fit", positional="codes", meaning="a file or a folder of codes"),
        "show": Verb(PriorShowSettings, "prior.show:show", positional="prior", meaning="a name or a file"),
        "compare": Verb(PriorCompareSettings, "prior.show:compare", positional="priors", meaning="names or files"),
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
    "Latent spaces of generative models: priors, recovery of codes, directions, and their evaluation.",
    "A setting comes from its default, the environment (LATENTRY_TRAIN__GAN__STEPS=10 for --steps of "
    "`latentry train gan`), a file (--config) or its flag; later ones replace earlier ones.",
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


def named_verb(arguments: Sequence[str], program: Program = LATENTRY) -> tuple[int, Verb | None]:
    """How many words name the verb of a command line, and the verb; None where they name none.

    Example:
        >>> count, verb = named_verb(["train", "gan", "--seed=1"])
        >>> count, verb.function
        (2, 'train:train_gan')
    """
    tree: Any = program.verbs
    for count, word in enumerate(arguments, 1):
        tree = tree.get(word)
        if not isinstance(tree, dict):
            return count, tree
    return len(arguments), None
