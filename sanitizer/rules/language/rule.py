"""One rule, as a pack states it."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_args

from sanitizer.dataset.tables import TASKS, Task
from sanitizer.rules.checks import Scope
from sanitizer.rules.language.columns import expression_names
from sanitizer.rules.language.expression import Expression, Kind
from sanitizer.rules.language.yaml_nodes import examples_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sanitizer.findings.finding import About, FindingKind, Severity

TRAINING = ("crashes", "drops-image", "drops-row", "rewrites-file", "ignores", "trains")
FIXES = ("safe", "unsafe")
SCOPES: tuple[Scope, ...] = get_args(Scope)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, as its pack states it. See `pack.py` for the meaning of the fields.

    Attributes:
        source: Absolute path of the pack.
        line: 1-based line of the rule in it.
        built_in: From the packs that come with the program.
    """

    code: str
    name: str
    scope: Scope
    severity: Severity
    message: str
    about: About = "row"
    kind: FindingKind | None = None
    when: str | None = None
    check: str | None = None
    value: str | None = None
    threshold: str | None = None
    params: Mapping[str, float] = field(default_factory=dict)
    params_of: str | None = None
    unless: tuple[str, ...] = ()
    tasks: tuple[Task, ...] = TASKS
    suggestion: str | None = None
    why: str = ""
    training: str | None = None
    training_note: str | None = None
    fix: str | None = None
    source: str = ""
    line: int = 0
    built_in: bool = True

    @property
    def examples(self) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """{"bad": […], "good": […]}; read from the pack when asked for, as a scan never needs them."""
        return examples_of(self.source).get(self.code, {"bad": [], "good": []})

    def expression(self, key: str) -> Expression | None:
        """The checked `when`, `value` or `threshold`, or None where the rule has none."""
        text: str | None = getattr(self, key)
        if text is None:
            return None
        return _compiled(text, self.scope, tuple(self.params), "truth" if key == "when" else "number")


@functools.lru_cache(maxsize=1024)
def _compiled(text: str, scope: Scope, params: tuple[str, ...], kind: Kind) -> Expression:
    numbers: dict[str, Kind] = dict.fromkeys(params, "number")
    return Expression(text, expression_names(scope) | numbers, kind)
