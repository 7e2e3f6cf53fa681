"""The command line: verbs, flags and config files, all read from the modules of settings below `tasks`.

Values come from the defaults, then the environment (`LATENTRY_VERB__NAME`), then a file (`--config`), then the flags: what
is said on the command line beats what was set around it. A task is imported when it runs, so that help is instant. Bad input
ends with exit code 2 and one sentence, never with a traceback.
"""

import dataclasses
import importlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from jsonargparse import ArgumentParser, set_parsing_settings

from latentry.tasks import settings as verbs
from latentry.tasks import train_settings as trainings
from latentry.tasks.reproduction import settings as reproductions

__all__ = ["main"]

_ENVIRONMENT: dict[str, Any] = {"default_env": True, "env_prefix": "LATENTRY"}

# no setting is a class: whatever a file, a flag or the environment names, nothing is imported because of it
set_parsing_settings(docstring_parse_attribute_docstrings=True, import_path_denylist=["*"])


@dataclass(frozen=True)
class Verb:
    """One command: where it lives and what it can be told."""

    settings: type[verbs.CommonSettings]
    function: str
    positional: str | None = None
    """A setting given without a flag: one word, or several where the setting is a list."""
    meaning: str = "files or folders"
    """What it stands for."""


VERBS: dict[str, Any] = {
    "study": Verb(verbs.StudySettings, "study:study"),
    "recover": Verb(verbs.RecoverSettings, "recover:recover", positional="images"),
    "decompose": Verb(verbs.DecomposeSettings, "decompose:decompose", positional="images"),
    "edit": Verb(verbs.EditSettings, "edit:edit", positional="images"),
    "sample": Verb(verbs.SampleSettings, "sample:sample"),
    "evaluate": Verb(verbs.EvaluateSettings, "evaluate:evaluate"),
    "prior": {
        "design": Verb(verbs.PriorDesignSettings, "prior_design:design"),
        "show": Verb(verbs.PriorShowSettings, "prior:show", positional="prior", meaning="a name or a file"),
        "compare": Verb(verbs.PriorCompareSettings, "prior:compare", positional="priors", meaning="names or files"),
    },
    "reproduce": {
        "priors": Verb(reproductions.ReproducePriorsSettings, "reproduction.priors:reproduce_priors"),
        "recovery": Verb(reproductions.ReproduceRecoverySettings, "reproduction.recovery:reproduce_recovery"),
        "spectral": Verb(reproductions.ReproduceSpectralSettings, "reproduction.spectral:reproduce_spectral"),
        "label-split": Verb(reproductions.ReproduceLabelSplitSettings, "reproduction.label_split:reproduce_label_split"),
        "semantic": Verb(reproductions.ReproduceSemanticSettings, "reproduction.semantic:reproduce_semantic"),
    },
    "train": {
        "gan": Verb(trainings.TrainGANSettings, "train:train_gan"),
        "classifier": Verb(trainings.TrainClassifierSettings, "train:train_classifier"),
        "inverse": Verb(trainings.TrainInverseSettings, "train_inverse:train_inverse"),
        "encoder": Verb(trainings.TrainEncoderSettings, "train_encoder:train_encoder"),
        "label-split": Verb(trainings.TrainLabelSplitSettings, "train_label_split:train_label_split"),
        "semantic": Verb(trainings.TrainSemanticSettings, "train_semantic:train_semantic"),
    },
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 on success, 1 when the work itself failed, 2 for bad input."""
    parser = _parser()
    try:
        parsed = parser.parse_args(_without_images(sys.argv[1:] if arguments is None else arguments))
    except ImportError:
        return _fail("expected numbers, words and lists as settings, got a class_path; no setting imports anything", 2)
    try:
        verb, values = _chosen(VERBS, parser.instantiate(parsed))
        settings = verb.settings(**values)
        module, function = verb.function.split(":")
        result = getattr(importlib.import_module(f"latentry.tasks.{module}"), function)(settings)
    except ValueError as error:
        return _fail(str(error), 2)
    except ArithmeticError as error:
        return _fail(str(error), 1)
    except KeyboardInterrupt:
        return _fail("interrupted; the same command goes on from the last checkpoint where the verb keeps one", 130)
    if settings.json and result:
        print(json.dumps(result))
    return 0


def _without_images(arguments: Sequence[str]) -> list[str]:
    """`edit --images A B` says what `edit A B` says: images need no flag, and may have one."""
    verb = VERBS.get(arguments[0]) if arguments else None
    if not isinstance(verb, Verb) or verb.positional != "images":
        return [*arguments]
    return [word.removeprefix("--images=") for word in arguments if word != "--images"]


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="latentry", description="Carpentry for latent spaces.", version=version("latentry"), **_ENVIRONMENT
    )
    _add_commands(parser, VERBS)
    return parser


def _add_commands(parser: ArgumentParser, tree: dict[str, Any]) -> None:
    commands = parser.add_subcommands(required=True, dest="command")
    for name, verb in tree.items():
        if isinstance(verb, Verb):
            child = _verb_parser(verb)
            commands.add_subcommand(name, child, help=child.description)
        else:  # jsonargparse wants the outer level complete before the inner one
            child = ArgumentParser(description=f"Kinds of `{name}`.", **_ENVIRONMENT)
            commands.add_subcommand(name, child, help=child.description)
            _add_commands(child, verb)


def _verb_parser(verb: Verb) -> ArgumentParser:
    description = (verb.settings.__doc__ or "").strip()
    parser = ArgumentParser(description=description, **_ENVIRONMENT)
    parser.add_argument("--config", action="config", help="YAML file with any of these settings.")
    if verb.positional:
        given = next(field for field in dataclasses.fields(verb.settings) if field.name == verb.positional)
        several = given.type == list[str]
        required = given.default_factory is dataclasses.MISSING
        count: dict[str, Any] = {"nargs": "+" if required else "*"} if several else {}
        default: dict[str, Any] = {} if required else {"default": []}
        meaning = f"{verb.positional.capitalize()}: {verb.meaning}."
        parser.add_argument(verb.positional, type=str, help=meaning, **count, **default)
    flags = {"json": "Print the result as JSON for machines.", "force": "Replace an earlier result in the same folder."}
    names = {field.name for field in dataclasses.fields(verb.settings)}
    if "quick" in names:
        flags["quick"] = "A rehearsal in less than a minute: everything at the smallest size, numbers without meaning."
    if "encode" in names:
        flags["encode"] = "Take the codes that the inverse gives, without recovery."
    if "full" in names:
        flags["full"] = "The paper's whole grid, for a GPU."
    skip = {*flags, verb.positional} if verb.positional else {*flags}
    parser.add_class_arguments(verb.settings, skip=skip, as_group=False)
    for flag, text in flags.items():  # flags without a value, which a typed bool would ask for
        parser.add_argument(f"--{flag}", action="store_true", help=text)
    return parser


def _chosen(tree: dict[str, Any], parsed: Any) -> tuple[Verb, dict[str, Any]]:
    chosen = tree[parsed.command]
    if isinstance(chosen, dict):
        return _chosen(chosen, parsed[parsed.command])
    return chosen, {name: value for name, value in vars(parsed[parsed.command]).items() if name != "config"}


def _fail(message: str, code: int) -> int:
    print(f"latentry: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
