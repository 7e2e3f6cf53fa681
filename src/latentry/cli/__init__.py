"""The command line: verbs, flags and config files, all read from the modules of settings below `tasks`.

Values come from the defaults, then the environment (`LATENTRY_VERB__NAME`), then a file (`--config`), then the flags: what
is said on the command line beats what was set around it. A task is imported when it runs, so that help is instant.

How a command ends: 0 when it did its work, 1 when the work failed, 2 for what the user can set right (a word, a file, a
folder, a full disk), 70 for what nobody foresaw, 130 for Ctrl-C, 143 for SIGTERM, 141 when nobody read the output to its
end. Every end but the first is one sentence on standard error, the last one is silent; `LATENTRY_DEBUG=1` adds the
traceback.
"""

import importlib
import json
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from latentry.cli.endings import MISUSED, ending, listening, terminable
from latentry.cli.parser import UsageError, refuse_unknown_variables, verb_and_values, verbs_parser, with_shipped_configs
from latentry.cli.switches import with_values_of_switches
from latentry.cli.verbs import LATENTRY, VERBS, Program, Verb, flat, named_verb
from latentry.training.memory import keep_freed_memory

__all__ = ["LATENTRY", "VERBS", "Program", "Verb", "main"]


def main(arguments: Sequence[str] | None = None, program: Program = LATENTRY) -> int:
    """Run one command of a program and return its exit code."""
    arguments_given = sys.argv[1:] if arguments is None else [*arguments]
    with listening() as listened, terminable():
        try:
            code = _run(arguments_given, program)
        except SystemExit as left:  # help and version
            code = left.code if isinstance(left.code, int) else MISUSED if left.code else 0
        except (Exception, KeyboardInterrupt) as error:
            if os.environ.get("LATENTRY_DEBUG", "0") not in ("", "0"):
                traceback.print_exception(error)
            message, code = ending(error, resumes=_resumes(arguments_given, program))
            print(f"{program.name}: {message}", file=sys.stderr)
    return listened.code(code)


def _run(arguments: Sequence[str], program: Program) -> int:
    if program is LATENTRY and arguments[:1] == ["reproduce"]:
        raise UsageError("the experiments run from a checkout of the project: python -m experiments recovery --preset quick")
    expanded = with_shipped_configs(with_values_of_switches(_without_images(arguments, program), program))
    _refuse_no_command(expanded, program)
    parser = verbs_parser(expanded, program)
    try:
        words, verb, values = verb_and_values(parser, parser.parse_args(expanded), program)
    except ImportError:
        raise UsageError("expected numbers, words and lists as settings, got a class_path; nothing is imported") from None
    refuse_unknown_variables(words, verb, os.environ, program)
    settings = verb.settings(**values)
    module, function = verb.function.split(":")
    if words.startswith("train") or program is not LATENTRY:
        keep_freed_memory()
    result: Any = getattr(importlib.import_module(f"{program.package}.{module}"), function)(settings)
    if settings.json and result:
        print(json.dumps(result))
    return 0


def _refuse_no_command(arguments: Sequence[str], program: Program) -> None:
    """Name the commands of `edit`, `prior` and `train` where none follows.

    Raises:
        UsageError: The second word is none of them.
    """
    group = arguments[0] if arguments else ""
    commands = program.verbs.get(group)
    word = arguments[1] if len(arguments) > 1 else ""
    if isinstance(commands, dict) and word not in commands and not {"--help", "-h"} & {*arguments}:
        known = ", ".join(f"`{group} {name}`" for name in commands)
        got = repr(word) if word else "nothing"
        raise UsageError(f"expected one of {known}, got {got}; `{program.name} {group} --help` says what each does")


def _resumes(arguments: Sequence[str], program: Program) -> bool:
    """Whether the verb that is named goes on where it was stopped."""
    return any(
        verb.resumes and words == " ".join(arguments[: len(words.split())]) for words, verb in flat(program.verbs).items()
    )


def _without_images(arguments: Sequence[str], program: Program) -> list[str]:
    """`recover --images A B` says what `recover A B` says: images need no flag, and may have one."""
    _, verb = named_verb(arguments, program)
    if verb is None or verb.positional != "images":
        return [*arguments]
    return [word.removeprefix("--images=") for word in arguments if word != "--images"]
