"""`python -m latentry.cli`: `python -m latentry` by its older name."""

import sys

from latentry.cli import main

sys.exit(main())
