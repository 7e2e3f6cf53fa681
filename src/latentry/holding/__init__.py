"""Floor 1: users' callables, tried before use, and their modules, frozen during use.

What evaluation asks of a network is one thing: that it is a fixed function meanwhile, and that it comes back as it was
given. `evaluated` finds the modules behind a callable (`reach`), holds them in eval mode with frozen parameters (`hold`),
and watches the first call of each callable for what it changes all the same (`trial`).
"""

from latentry.holding.hold import evaluated
from latentry.holding.reach import module_of, modules_behind, weights_like
from latentry.holding.rows import check_rows
from latentry.holding.trial import Watched, require_generator, tried

__all__ = ["Watched", "check_rows", "evaluated", "module_of", "modules_behind", "require_generator", "tried", "weights_like"]
