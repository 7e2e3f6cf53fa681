"""Floor 5: checks of generators, priors, measurements and solvers of your own, in words.

`import latentry as lt`, then `print(lt.testing.check_generator(generator, prior))`. Each check looks at an object and says
which promises it keeps and which it breaks, with what was measured and the way out. In a test suite: `check_...(...,
raises=True)`.
"""

from latentry.testing.conformance import Conformance, Promise
from latentry.testing.generators import check_generator
from latentry.testing.measurements import check_measurement
from latentry.testing.priors import check_prior
from latentry.testing.solvers import check_solver

__all__ = ["Conformance", "Promise", "check_generator", "check_measurement", "check_prior", "check_solver"]
