"""One rule of a pack while it is being checked: every key, with the line to point at when it is wrong."""

from __future__ import annotations

import re
from reprlib import repr as shortened
from typing import TYPE_CHECKING, Any, NoReturn

from sanitizer.config import finite_number
from sanitizer.dataset.tables import TASKS, Task
from sanitizer.findings.finding import ABOUTS, KINDS, Severity
from sanitizer.rules.checks import MODULES, READER
from sanitizer.rules.language.columns import expression_names, text_names
from sanitizer.rules.language.expression import ExpressionError
from sanitizer.rules.language.message import Template, TemplateError
from sanitizer.rules.language.rule import FIXES, SCOPES, TRAINING, Rule
from sanitizer.rules.language.yaml_nodes import PackError
from sanitizer.rules.language.yaml_nodes import plain as to_plain
from sanitizer.util.suggest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import yaml

REQUIRED = ("code", "name", "scope", "severity", "message")
REQUIRED_BUILT_IN = (*REQUIRED, "suggestion", "why", "training", "training_note", "fix")


class RuleNode:
    """One rule of a pack while it is being checked: its YAML node, and where to point when it is wrong."""

    def __init__(self, path: str, node: yaml.MappingNode, built_in: bool) -> None:
        self.path, self.node, self.built_in = path, node, built_in
        self.values: dict[str, yaml.Node] = {}
        for key, value in node.value:
            word = key.value if isinstance(key.value, str) else "a list or mapping"
            if word not in _READERS:
                self._fail_at(key, f"unknown key {word!r}{did_you_mean(word, _READERS)}")
            if word in self.values:
                self._fail_at(key, f"the key {word!r} stands here twice")
            self.values[word] = value

    def _fail_at(self, node: yaml.Node, problem: str) -> NoReturn:
        raise PackError(f"{self.path}:{node.start_mark.line + 1}: {self._about()}{problem}")

    def fail(self, key: str, problem: str) -> NoReturn:
        """PackError at the value of a key, or at the rule where it has no such key."""
        self._fail_at(self.values.get(key, self.node), f"{key}: {problem}")

    def _about(self) -> str:
        code = getattr(self, "values", {}).get("code")
        return f"{code.value}: " if code is not None and isinstance(code.value, str) else ""

    def rule(self) -> Rule:
        """The rule: every key is well-formed by itself."""
        for key in REQUIRED_BUILT_IN if self.built_in else REQUIRED:
            if key not in self.values:
                self._fail_at(self.node, f"the key {key!r} is missing")
        fields = {key: _READERS[key](self, key) for key in self.values if key != "examples"}
        fields.setdefault("about", fields["scope"])
        return Rule(**fields, source=self.path, line=self.node.start_mark.line + 1, built_in=self.built_in)

    def check(self, rule: Rule) -> None:
        """PackError where keys of the rule do not fit together, or an expression or message is wrong."""
        self._check_about(rule)
        self._check_firing(rule)
        self._check_message(rule)
        if rule.scope == "recipe":
            self._check_suggestion(rule)

    def _check_about(self, rule: Rule) -> None:
        """What it is about: the recipe in scope recipe and nowhere else; gradients only where the probe reports it."""
        if (rule.about == "recipe") != (rule.scope == "recipe"):
            self.fail("about", f"a rule of scope {rule.scope} cannot be about {rule.about}")
        if rule.about == "gradient" and not self.built_in:
            self.fail("about", "only built-in rules judge gradients, as the probe reports them")
        if rule.kind and not self.built_in:
            self.fail("kind", "only built-in rules have a kind")

    def _check_firing(self, rule: Rule) -> None:
        """When it fires: by an expression or a check, not both."""
        if (rule.when is None) == (rule.check is None):
            self.fail("when", "a rule has either 'when' with an expression or 'check' with a name")
        if rule.check == READER:
            if not self.built_in:
                self.fail("check", "only built-in rules come from a reader; use 'when' or a named check")
            if rule.unless:
                self.fail("unless", "a rule that a reader reports cannot wait for another")
        if rule.when is None and rule.scope == "recipe":
            self.fail("check", "a rule of scope recipe has 'when' with an expression")
        if rule.when is not None and rule.params_of:
            self.fail("params_of", "only for rules with 'check'")
        if rule.when is None:
            for key in ("value", "threshold"):
                if key in self.values:
                    self.fail(key, f"only for rules with 'when'; a check returns its {key}")
            return
        if rule.scope == "dataset":
            self.fail("scope", "a rule with 'when' is of scope row, file or recipe")
        for name in rule.params:
            if name in expression_names(rule.scope) or name in text_names(rule.scope):
                self.fail("params", f"{name!r} is already the name of a column")
        for key in ("when", "value", "threshold"):
            self._check_expression(rule, key)

    def _check_expression(self, rule: Rule, key: str) -> None:
        try:
            rule.expression(key)
        except ExpressionError as e:
            node = self.values[key]
            place = f"{self.path}:{node.start_mark.line + 1}"
            if node.start_mark.line == node.end_mark.line:
                quote = 1 if getattr(node, "style", None) in ("'", '"') else 0
                place += f":{node.start_mark.column + quote + e.offset + 1}"
            raise PackError(f"{place}: {rule.code}: {key}: {e}") from None

    def _check_message(self, rule: Rule) -> None:
        """Every field of a message must exist; those of a check are known only to the check."""
        self._check_template(rule, "message", rule.message)

    def _check_suggestion(self, rule: Rule) -> None:
        """What to set, ready to paste behind a train command; a template, as the message is one."""
        if rule.suggestion is None:
            return
        if not re.fullmatch(r"[a-z]\w*=\S+( [a-z]\w*=\S+)*", rule.suggestion):
            self.fail(
                "suggestion", "of a rule of scope recipe it is train arguments alone, such as lr0=0.01 nbs=64"
            )
        self._check_template(rule, "suggestion", rule.suggestion)

    def _check_template(self, rule: Rule, key: str, text: str) -> None:
        try:
            template = Template(text)
        except TemplateError as e:
            self.fail(key, str(e))
        if rule.when is None:
            return
        known = {*expression_names(rule.scope), *text_names(rule.scope), *rule.params}
        known |= {name for name in ("value", "threshold") if name in self.values}
        for name in template.names:
            if name not in known:
                self.fail(key, f"there is no {{{name}}}{did_you_mean(name, known)}")

    def plain(self, key: str) -> Any:
        """The value of a key."""
        return to_plain(self.path, self.values[key])

    def text(self, key: str) -> str:
        """The value of a key that must be a text."""
        value = self.plain(key)
        if key in ("when", "value", "threshold") and isinstance(value, int | float):
            return self.values[key].value  # type: ignore[no-any-return]  # `threshold: 0` is an expression too
        if not isinstance(value, str) or not value.strip():
            self.fail(key, f"must be a text, not {shortened(value)}")
        return value.rstrip("\n")

    def code(self, key: str) -> str:
        """The rule's code."""
        code = self.text(key)
        pattern, shape = (r"[A-Z]\d{3}", "a letter and three digits, such as B001")
        if not self.built_in:
            pattern, shape = (r"[A-Z]+[0-9]+", "capital letters and then digits, such as X1 or TEAM007")
        if not re.fullmatch(pattern, code, re.ASCII):
            self.fail(key, f"{code!r} is no code: it takes {shape}")
        return code

    def name(self, key: str) -> str:
        """The rule's name."""
        name = self.text(key)
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
            self.fail(key, f"{name!r} is not of the form small-letters-and-dashes")
        return name

    def check_name(self, key: str) -> str:
        """A named check, or "reader"."""
        name = self.text(key)
        if name != READER and name not in MODULES:
            self.fail(key, f"there is no check {name!r}{did_you_mean(name, MODULES)}")
        return name

    def params(self, key: str) -> dict[str, float]:
        """Parameter name to number."""
        value = self.plain(key)
        if not isinstance(value, dict):
            self.fail(key, "must be a mapping of name to number, such as {max_ratio: 50}")
        for name, number in value.items():
            if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
                self.fail(key, f"{name!r} is no name: it takes small letters, digits and underscores")
            if finite_number(number) is None:
                self.fail(key, f"{name} must be a number, not {shortened(number)}")
        return {name: float(number) for name, number in value.items()}

    def tasks(self, key: str) -> tuple[Task, ...]:
        """The tasks it is for."""
        tasks = self._texts(key)
        for task in tasks:
            if task not in TASKS:
                self.fail(
                    key, f"{task!r} is no task: there are {', '.join(TASKS)}{did_you_mean(task, TASKS)}"
                )
        return tuple(t for t in TASKS if t in tasks)

    def codes(self, key: str) -> tuple[str, ...]:
        """A list of rule codes; whether these exist is known once all packs are read."""
        return tuple(self._texts(key))

    def _texts(self, key: str) -> list[str]:
        value = self.plain(key)
        if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
            self.fail(key, f"must be a list such as [a, b], not {shortened(value)}")
        return value


def _one_of(choices: Sequence[str], optional: bool = False) -> Callable[[RuleNode, str], Any]:
    """Reader of a key whose value is one of a few words."""

    def read(node: RuleNode, key: str) -> str | None:
        value = node.plain(key)
        if value is None and optional:
            return None
        if value not in choices:
            node.fail(
                key,
                f"must be one of {', '.join(choices)}, not {shortened(value)}{did_you_mean(shortened(value), choices)}",
            )
        return str(value)

    return read


def _severity(node: RuleNode, key: str) -> Severity:
    return Severity.parse(_one_of([s.label for s in Severity])(node, key))


_READERS: dict[str, Callable[[RuleNode, str], Any]] = {
    "code": RuleNode.code,
    "name": RuleNode.name,
    "scope": _one_of(SCOPES),
    "about": _one_of(ABOUTS),
    "kind": _one_of(KINDS),
    "severity": _severity,
    "tasks": RuleNode.tasks,
    "when": RuleNode.text,
    "check": RuleNode.check_name,
    "value": RuleNode.text,
    "threshold": RuleNode.text,
    "params": RuleNode.params,
    "params_of": RuleNode.text,
    "unless": RuleNode.codes,
    "message": RuleNode.text,
    "suggestion": RuleNode.text,
    "why": RuleNode.text,
    "training": _one_of(TRAINING),
    "training_note": RuleNode.text,
    "fix": _one_of(FIXES, optional=True),
    "examples": RuleNode.plain,
}
