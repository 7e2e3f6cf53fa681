"""Fingerprints of generators: a hash of the weights, stored with results so that they are not used with another one."""

from latentry.holding import module_of
from latentry.interfaces import Generator
from latentry.storage import fingerprint

__all__ = ["fingerprint_of"]


def fingerprint_of(generator: Generator) -> str | None:
    """Hash of a generator's weights, where it is a module or a method of one; None for a plain function."""
    module = module_of(generator)
    return None if module is None else fingerprint(module.state_dict())
