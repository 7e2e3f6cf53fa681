"""Objects of this package as JSON: the name of a class from an explicit table, and its arguments.

A file is written by anyone. So a name finds what the table holds and nothing else of the package, and whatever a constructor
makes of arguments that it did not expect is one error.
"""

from collections.abc import Mapping
from typing import Any

__all__ = ["class_name", "rebuilt"]

_ERRORS = (ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError)
"""What constructors raise for arguments that they do not know or cannot use."""


def class_name(thing: Any, classes: Mapping[str, type], where: str, way_out: str) -> str:
    """The name under which a thing's class stands in the table.

    Args:
        thing: What is to be recorded.
        classes: The classes that may be named.
        where: Where these are found, for the message.
        way_out: What to do with a thing of another class, for the message.

    Raises:
        ValueError: The class is not in the table, so that no name could find it again.
    """
    name = type(thing).__name__
    if classes.get(name) is not type(thing):
        raise ValueError(f"expected a class that {where} offers, got {name}; {way_out}")
    return name


def rebuilt(content: Any, classes: Mapping[str, type], what: str) -> Any:
    """The thing that a class by name and its arguments describe.

    Args:
        content: What JSON gave: `class` and `arguments`.
        classes: The classes that may be named.
        what: What is described, for the message.

    Raises:
        ValueError: The record is none, names no class of the table, or its arguments do not fit.
    """
    if not isinstance(content, Mapping) or not {"class", "arguments"} <= set(content):
        raise ValueError(f"expected the class and the arguments of a {what}, got {_shortened(content)}; save it again")
    name, arguments = content["class"], content["arguments"]
    if not isinstance(name, str) or name not in classes or not isinstance(arguments, Mapping):
        raise ValueError(
            f"expected the class and the arguments of a {what} of this version of latentry ({', '.join(classes)}), got "
            f"{_shortened(name)}; save it again"
        )
    try:
        return classes[name](**arguments)
    except _ERRORS as error:
        raise ValueError(
            f"expected the class and the arguments of a {what} of this version of latentry ({_shortened(error)}); "
            "save it again"
        ) from None


def _shortened(content: Any) -> str:
    text = str(content) if isinstance(content, BaseException) else repr(content)
    return text if len(text) <= 200 else f"{text[:200]} ..."
