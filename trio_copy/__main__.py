"""`python -m trio_copy`."""

import sys

from trio_copy.cli import main

sys.exit(main())
