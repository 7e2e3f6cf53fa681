"""Floor 2: third-party generators, from any callable or file, as modules of codes `(n, d)`."""

from latentry.generators.style import StyleSpaces, style_spaces

__all__ = ["StyleSpaces", "style_spaces"]
