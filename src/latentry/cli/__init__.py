"""The command line: verbs, flags and config files, all read from the modules of settings below `tasks`.

Values come from the defaults, then the environment (`LATENTRY_VERB__NAME`), then a file (`--config`), then the flags; later
ones replace earlier ones. A task is imported when it runs, so that help is instant.

Exit codes: 0 success, 1 failure, 2 an error that the user can correct (a word, a file, a folder, a full disk), 70 an
unexpected error, 130 Ctrl-C, 143 SIGTERM, 141 a closed pipe. All but 0 and 141 print one sentence on standard error;
`LATENTRY_DEBUG=1` adds the traceback.
"""

import importlib
import json
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from latentry.cli.exits import INVALID, exit_message, safe_output, sigterm_as_interrupt
from latentry.cli.parser import UsageError, refuse_unknown_variables, verb_and_values, verbs_parser, with_shipped_configs
from latentry.cli.switches import with_values_of_switches
from latentry.cli.verbs import LATENTRY, VERBS, Program, Verb, flat, named_verb
from latentry.training.memory import keep_freed_memory

__all__ = ["LATENTRY", "VERBS", "Program", "Verb", "main"]


def main(arguments: Sequence[str] | None = None, program: Program = LATENTRY) -> int:
    """Run one command of a program and return its exit code."""
    words = sys.argv[1:] if arguments is None else [*arguments]
    with safe_output() as output, sigterm_as_interrupt():
        try:
            code = _run(words, program)
        except SystemExit as exit_:  # help and version
            code = exit_.code if isinstance(exit_.code, int) else INVALID if exit_.code else 0
        except (Exception, KeyboardInterrupt) as error:
            if os.environ.get("LATENTRY_DEBUG", "0") not in ("", "0"):
                traceback.print_exception(error)
            message, code = exit_message(error, resumes=_resumes(words, program))
            print(f"{program.name}: {message}", file=sys.stderr)
    return output.exit_code(code)


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
    """Whether the verb of these words continues where it was stopped."""
    return any(
        verb.resumes and words == " ".join(arguments[: len(words.split())]) for words, verb in flat(program.verbs).items()
    )


def _without_images(arguments: Sequence[str], program: Program) -> list[str]:
    """`recover --images A B` as `recover A B`: images need no flag, and may have one."""
    _, verb = named_verb(arguments, program)
    if verb is None or verb.positional != "images":
        return [*arguments]
    return [word.removeprefix("--images=") for word in arguments if word != "--images"]
