"""The oldest version of Ultralytics that can be probed and trained with, and a sentence for those before it."""

from __future__ import annotations

from sanitizer.ultra.versions import installed_version, is_before

OLDEST = "8.3.200"


class RequirementError(ImportError):
    """The installed Ultralytics is too old; the text is a sentence that names both versions."""


def check_installed(what: str = "probing and training") -> None:
    """Raise RequirementError if the installed Ultralytics is older than `OLDEST`. Runs no code of Ultralytics.

    Args:
        what: What needs it, such as "a probe" or "training".
    """
    installed = installed_version()
    if installed is not None and is_before(installed, OLDEST):
        raise RequirementError(
            f"Ultralytics {installed} is installed, and {OLDEST} or newer is needed for {what}: "
            "pip install -U ultralytics"
        )
