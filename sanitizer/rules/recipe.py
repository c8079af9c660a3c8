"""Rules on a training recipe: one set of facts, judged at once. A scan never runs these."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from sanitizer.findings.finding import Finding, fingerprinted, finite
from sanitizer.rules.language.message import Template
from sanitizer.rules.recipe_facts import RecipeFacts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sanitizer.rules.language.rule import Rule
    from sanitizer.rules.ruleset import RuleSet


def run_recipe(facts: RecipeFacts, ruleset: RuleSet) -> list[Finding]:
    """Findings of the active rules of scope `recipe`, in order of code; each suggests the arguments to set."""
    known = {field.name: getattr(facts, field.name) for field in fields(RecipeFacts)}
    return fingerprinted(
        _finding(rule, known)
        for rule in ruleset.rules.values()
        if rule.scope == "recipe" and _fires(rule, known, ruleset)
    )


def _fires(rule: Rule, known: Mapping[str, Any], ruleset: RuleSet) -> bool:
    if known["task"] not in rule.tasks or not _value(rule, "when", known):
        return False
    return not any(_fires(ruleset.rule(code), known, ruleset) for code in rule.unless)


@np.errstate(all="ignore")
def _value(rule: Rule, key: str, known: Mapping[str, Any]) -> float | None:
    """The `when`, `value` or `threshold` of a rule; None where it has none."""
    expression = rule.expression(key)
    return None if expression is None else float(expression({**known, **rule.params}, 1)[0])


def _finding(rule: Rule, known: Mapping[str, Any]) -> Finding:
    value, threshold = _value(rule, "value", known), _value(rule, "threshold", known)
    names = {**known, **rule.params, "value": value, "threshold": threshold}
    return Finding(
        rule=rule.code,
        name=rule.name,
        severity=rule.severity,
        message=Template(rule.message).render_one(names.__getitem__),
        value=finite(value),
        threshold=finite(threshold),
        suggestion=Template(rule.suggestion).render_one(names.__getitem__) if rule.suggestion else None,
        fix=rule.fix,
        about=rule.about,
        kind=rule.kind,
    )
