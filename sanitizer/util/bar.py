"""A progress bar that starts no thread: processes are forked while it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm


def bar(**options: Any) -> tqdm[Any]:
    """A bar of tqdm on stderr, shown after half a second; `options` are tqdm's."""
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[type-arg]
        monitor_interval = 0

    return Bar(unit_scale=True, leave=False, delay=0.5, miniters=1, **options)
