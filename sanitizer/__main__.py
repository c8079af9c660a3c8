"""`python -m sanitizer` is `sanitize`."""

import sys

from sanitizer.cli import main

sys.exit(main())
