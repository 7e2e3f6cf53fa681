"""Names that people give, and what to say of one that is not known."""

import difflib
from collections.abc import Sequence

__all__ = ["feature_index", "hint"]


def hint(name: str, known: Sequence[str], otherwise: str) -> str:
    """The known name that was probably meant, as a question; `otherwise` where none is like it."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else otherwise


def feature_index(name: str, features: Sequence[str]) -> int:
    """Where a feature stands among others.

    Raises:
        ValueError: There is no such feature.
    """
    if name not in features:
        raise ValueError(
            f"expected a feature among {', '.join(features) or 'none'}, got {name!r}; "
            f"{hint(name, features, 'choose one of these')}"
        )
    return list(features).index(name)
