"""`python -m orchestr.cli` is the command `orch`."""

import sys

from orchestr.cli import main

sys.exit(main())
