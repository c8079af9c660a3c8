"""`python -m sanitizer` is `sanitize`."""

import os
import sys

# Python looks for modules in the current folder first: a dataset may lie there, and bring a numpy.py along.
# Python 3.10 has no flag that forbids it.
if not getattr(sys.flags, "safe_path", False) and (
    sys.path[0] == os.getcwd() != os.path.dirname(os.path.dirname(__file__))
):
    del sys.path[0]

from sanitizer.cli import main

sys.exit(main())
