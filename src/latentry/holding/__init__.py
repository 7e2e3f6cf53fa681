"""Floor 1: users' callables, tried before use, and their modules, frozen during use.

During an evaluation a network must be a fixed function, and afterwards it must be as before. `evaluated` finds the modules
that a callable uses (`reach`), holds them in eval mode with frozen parameters (`hold`), and watches the first call of each
callable for other side effects (`trial`). The condition of a conditional generator goes along with its codes (`conditions`).
"""

from latentry.holding.conditions import Condition, as_condition, called, made
from latentry.holding.hold import evaluated
from latentry.holding.reach import module_of, modules_behind, weights_like
from latentry.holding.rows import check_rows
from latentry.holding.trial import Watched, require_generator, tried, watched_call

__all__ = [
    "Condition",
    "Watched",
    "as_condition",
    "called",
    "check_rows",
    "evaluated",
    "made",
    "module_of",
    "modules_behind",
    "require_generator",
    "tried",
    "watched_call",
    "weights_like",
]
