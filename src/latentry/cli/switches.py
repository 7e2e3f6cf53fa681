"""Settings that are true or false: `--json`, `--json true` and `--json=false` at the shell, `json: true` in a file."""

import dataclasses
import typing
from collections.abc import Iterator, Sequence

from latentry.cli.verbs import LATENTRY, Program, named_verb

__all__ = ["switches", "with_values_of_switches"]

_TRUE_OR_FALSE = ("true", "false", "yes", "no", "on", "off")


def switches(settings: type) -> Iterator[str]:
    """Names of the settings that are true or false, with dots where they are within another.

    Example:
        >>> from latentry.tasks.sample.settings import SampleSettings
        >>> sorted(switches(SampleSettings))
        ['download', 'force', 'json']
    """
    fields = {field.name for field in dataclasses.fields(settings)}
    for name, kind in typing.get_type_hints(settings).items():
        if name in fields and kind is bool:
            yield name
        elif dataclasses.is_dataclass(kind):
            yield from (f"{name}.{inner}" for inner in switches(typing.cast(type, kind)))


def with_values_of_switches(arguments: Sequence[str], program: Program = LATENTRY) -> list[str]:
    """Arguments in which each switch has its value, so that `--json photo.png` leaves the image alone.

    Args:
        arguments: Words of a command line.
        program: Whose.

    Example:
        >>> with_values_of_switches(["sample", "--json", "--force", "false"])
        ['sample', '--json=true', '--force=false']
    """
    count, verb = named_verb(arguments, program)
    flags = {f"--{name}" for name in switches(verb.settings)} if verb else set()
    found = [*arguments[:count]]
    for word in arguments[count:]:
        if found[-1] in flags:
            value = word if word.lower() in _TRUE_OR_FALSE else "true"
            found[-1] += f"={value}"
            if value is word:
                continue
        found.append(word)
    if found and found[-1] in flags:
        found[-1] += "=true"
    return found
