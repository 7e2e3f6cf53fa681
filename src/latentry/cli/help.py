"""Help that fits on a screen: what is set most, in a line or two each; `--help_all` says the rest."""

import argparse
import re
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from jsonargparse import DefaultHelpFormatter

from latentry.training.settings import BOOKKEEPING

__all__ = ["FullHelp", "ShortHelp"]

_METAVARS = {"int": "INT", "float": "NUMBER", "tuple": "LIST", "list": "LIST"}
_FIRST_SENTENCE = re.compile(r".*?[.;](?=\s|$)", re.DOTALL)


class FullHelp(DefaultHelpFormatter):
    """Every setting with its type, its default and its whole description."""

    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog, **{"max_help_position": 8, **options})  # type: ignore[no-untyped-call]

    def _format_usage(self, usage: str | None, actions: Iterable[Any], groups: Iterable[Any], prefix: str | None) -> str:
        """Words and what has no flag; the flags are below."""
        positionals = [action for action in actions if not action.option_strings]
        named = [self._format_args(action, action.dest.upper()) for action in positionals if not _is_commands(action)]
        if prefix == "":  # argparse asks what to call the parser of a command
            return self._prog
        last = "COMMAND ..." if len(named) < len(positionals) else "[--NAME VALUE ...]"
        return f"usage: {' '.join([self._prog.replace(' [options]', ''), *named, last])}\n\n"

    def _format_action_invocation(self, action: argparse.Action) -> str:
        # that of jsonargparse adds a variable of the environment to each
        return "commands:" if _is_commands(action) else argparse.HelpFormatter._format_action_invocation(self, action)


class ShortHelp(FullHelp):
    """The first sentence on each setting; of settings within settings, and of bookkeeping, their defaults alone."""

    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog, **{"max_help_position": 30, **options})

    def add_arguments(self, actions: Iterable[argparse.Action]) -> None:
        actions = [action for action in actions if action.option_strings != ["--print_config"]]
        brief = [
            action for action in actions if "." in action.dest or action.dest in (*BOOKKEEPING, "precision", "schedule")
        ]
        if full := [action for action in actions if action not in brief]:
            super().add_arguments(full)
        if brief:
            self._add_item(self._defaults_line, [brief])

    def _defaults_line(self, actions: Sequence[argparse.Action]) -> str:
        inner = [action for action in actions if action.default != argparse.SUPPRESS]  # all but the files of a whole group
        text = " ".join(f"{action.option_strings[0]}={_shown(action.default)}" for action in inner)
        return textwrap.fill(text, self._width, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False) + "\n"

    def _get_default_metavar_for_optional(self, action: argparse.Action) -> str:
        kind = self._get_type_str(action) or ""
        return next((name for word, name in _METAVARS.items() if kind.startswith(word)), "TEXT")

    def _get_help_string(self, action: argparse.Action) -> str:
        whole = " ".join((action.help or "").split())
        first = _FIRST_SENTENCE.match(whole)
        meaning = first[0].replace(";", ".") if first else whole
        default = "" if action.default == argparse.SUPPRESS or not action.option_strings else _shown(action.default)
        return meaning if default in ("", "null", "false", "[]") else f"{meaning} ({default})"


def _is_commands(action: argparse.Action) -> bool:
    return isinstance(action, argparse._SubParsersAction)


def _shown(default: Any) -> str:
    """A default as it is typed."""
    if isinstance(default, list | tuple):
        return "[" + ",".join(map(str, default)) + "]"
    return "null" if default is None else str(default).lower() if isinstance(default, bool) else str(default)
