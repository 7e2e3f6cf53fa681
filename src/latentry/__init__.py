"""Latent spaces of generative models: priors, recovery of codes, directions, and models whose codes have structure.

Names are resolved when they are first used, so that `import latentry` (and `latentry --help`) does not wait for torch;
`__init__.pyi` lists them.
"""

from importlib import metadata

import lazy_loader

__version__ = metadata.version("latentry")
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
