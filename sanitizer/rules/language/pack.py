"""Rule packs: YAML lists of rules, loaded and checked. What is wrong with a pack is said with file and line.

One rule (keys marked * may be left out; those marked + may be left out in a user's own pack):

    - code: B001                     # a letter and three digits; in a user's pack [A-Z]+[0-9]+
      name: extreme-aspect-ratio     # kebab-case
      scope: row                     # row | file | dataset | recipe: what it is judged on
      about: row                     # * row | file | image | dataset | recipe | gradient: what a finding is about;
                                     #   default: the scope. Reports sort by it, and open the image for `image`
      kind: background               # * built-in only: how later stages treat its findings, a `FindingKind`
      severity: warning              # error | warning | info
      tasks: [detect, segment]       # * default: all
      when: aspect > max_ratio       # an expression (expression.py) over the names in columns.py (of scope recipe:
                                     # in recipe_facts.py) and the params,
                                     # or `check: near-duplicate` (checks/), or `check: reader` (built-in only)
      value: aspect                  # * expression for the report column, for `when` rules
      threshold: max_ratio           # * likewise
      params: {max_ratio: 50}        # * numbers; the user's configuration may change them, by class too
      params_of: D009                # * for `check` rules: a rule whose params, as configured, this one has, too
      unless: [B002, B011]           # * silent on rows (scope row) or files (scope file) where one of these fires,
                                     #   selected or not
      message: "…{value:.0f}:1…"     # {name} or {name:format}: names as for `when`, value, threshold, class_name
      suggestion: "…"                # + of scope recipe: train arguments, as lr0={threshold:g}
      why: |                         # +
      training: trains               # + crashes | drops-image | drops-row | rewrites-file | ignores | trains
      training_note: "…"             # +
      fix: unsafe                    # + safe | unsafe | null
      examples: {bad: […], good: […]}  # * what tests/example_files.py builds, or tests/recipe_examples.py resolves
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING

from sanitizer.rules.checks import READER
from sanitizer.rules.language.rule import Rule
from sanitizer.rules.language.rule_node import RuleNode
from sanitizer.rules.language.yaml_nodes import PackError, compose
from sanitizer.storage.opening import absolute
from sanitizer.util.suggest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["PackError", "Rule", "built_in_folder", "load_rules"]


MAX_RULES = 500
"""Rules of one pack: each of them is a pass over every row."""


def load_rules(pack_files: Sequence[str] = ()) -> dict[str, Rule]:
    """Code to rule, in order of code: the built-in packs and the user's.

    Raises:
        PackError: A pack cannot be read, or a rule in it is wrong.
    """
    rules = dict(_built_in_rules())
    if not pack_files:
        return rules
    for path in pack_files:
        for rule in _read_pack(absolute(path), built_in=False):
            _add(rules, rule)
    return _checked(rules)


@functools.cache
def _built_in_rules() -> Mapping[str, Rule]:
    rules: dict[str, Rule] = {}
    folder = built_in_folder()
    for name in sorted(os.listdir(folder)):
        if name.endswith(".yaml"):
            for rule in _read_pack(os.path.join(folder, name), built_in=True):
                _add(rules, rule)
    return _checked(rules)


def _checked(rules: Mapping[str, Rule]) -> dict[str, Rule]:
    """The rules in order of code. PackError where one names another that does not exist or does not fit."""
    _check_params_of(rules)
    _check_precedence(rules)
    return dict(sorted(rules.items()))


def built_in_folder() -> str:
    """Folder of the packs that come with the program: inside the wheel, or rules/ of a source checkout."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    packaged = os.path.join(here, "packs")
    return (
        packaged if os.path.isdir(packaged) else os.path.join(os.path.dirname(os.path.dirname(here)), "rules")
    )


def _add(rules: dict[str, Rule], rule: Rule) -> None:
    if rule.code in rules:
        other = rules[rule.code]
        raise PackError(
            f"{rule.source}:{rule.line}: {rule.code} is already a rule of {other.source}:{other.line}"
        )
    same_name = next((r for r in rules.values() if r.name == rule.name), None)
    if same_name:
        raise PackError(f"{rule.source}:{rule.line}: the name {rule.name!r} is taken by {same_name.code}")
    rules[rule.code] = rule


def _check_params_of(rules: Mapping[str, Rule]) -> None:
    """PackError unless every `params_of` names a rule."""
    for rule in rules.values():
        if rule.params_of is not None and rule.params_of not in rules:
            place = f"{rule.source}:{rule.line}: params_of of {rule.code}"
            raise PackError(
                f"{place}: there is no rule {rule.params_of!r}{did_you_mean(rule.params_of, rules)}"
            )


def _check_precedence(rules: Mapping[str, Rule]) -> None:
    """PackError unless every `unless` names rules of the same scope, and none waits for itself."""
    for rule in rules.values():
        for code in rule.unless:
            place = f"{rule.source}:{rule.line}: unless of {rule.code}"
            if code not in rules:
                raise PackError(f"{place}: there is no rule {code!r}{did_you_mean(code, rules)}")
            if rules[code].scope != rule.scope:
                raise PackError(f"{place}: {code} is of scope {rules[code].scope}, not {rule.scope}")
            if rule.scope == "row" and rules[code].check == READER:
                raise PackError(f"{place}: {code} comes from a reader and is known by file only")
            if rule.code in _waits_for(rules, code):
                raise PackError(f"{place}: {rule.code} and {code} wait for each other")


def _waits_for(rules: Mapping[str, Rule], code: str) -> set[str]:
    """Codes reached from a rule through `unless`, itself counted."""
    seen: set[str] = set()
    waiting = [code]
    while waiting:
        code = waiting.pop()
        if code not in seen and code in rules:
            seen.add(code)
            waiting += rules[code].unless
    return seen


def _read_pack(path: str, built_in: bool) -> list[Rule]:
    root = compose(path, built_in)
    if root is None:
        return []
    from yaml import MappingNode, SequenceNode

    if not isinstance(root, SequenceNode):
        raise PackError(
            f"{path}:{root.start_mark.line + 1}: a rule pack is a list of rules, each with '- code: …'"
        )
    if len(root.value) > MAX_RULES:
        raise PackError(f"{path}: has {len(root.value):,} rules; a pack has room for {MAX_RULES:,}")
    rules = []
    for node in root.value:
        if not isinstance(node, MappingNode):
            raise PackError(
                f"{path}:{node.start_mark.line + 1}: a rule is a mapping that begins with 'code:'"
            )
        checked = RuleNode(path, node, built_in)
        rules.append(checked.rule())
        if not built_in:  # a test checks those of the program
            checked.check(rules[-1])
    return rules
