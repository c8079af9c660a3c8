"""Which rules run, and how, once the configuration has been applied to the packs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from sanitizer import __version__
from sanitizer.rules.hits import Params
from sanitizer.util import limits
from sanitizer.util.bounded_read import MIB
from sanitizer.util.suggest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sanitizer.config import Config, RuleConfig
    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.rules.language.rule import Rule


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rules of one scan. Plain values, so that it travels to worker processes.

    Attributes:
        rules: Code to active rule, with the user's severity and parameters.
        silent: Rules that are not selected but that an active rule's `unless` asks about.
        per_class: Code to class id or name to the parameters that differ for it.
        fixed_severity: Codes whose severity the user chose: it wins over that of a single fault.
        ignores: (glob, codes) pairs: findings of these codes are left out of files that match.
        imgsz: Training image size in pixels.
        max_label_bytes: The largest label file that is read (L010's limit), whether or not that rule is selected.
        known: Every code of every pack, so that a slip in a reader is told from a rule that is not selected.
    """

    rules: Mapping[str, Rule]
    silent: Mapping[str, Rule]
    per_class: Mapping[str, Mapping[int | str, Mapping[str, float]]]
    fixed_severity: frozenset[str]
    ignores: Sequence[tuple[str, frozenset[str]]]
    imgsz: int
    max_label_bytes: int
    known: frozenset[str]

    @classmethod
    def build(cls, rules: Mapping[str, Rule], config: Config) -> RuleSet:
        """Apply a configuration to the rules of all packs.

        Raises:
            ConfigError: It names a code, prefix or parameter that does not exist.
        """
        at = f"{config.source}: " if config.source else ""
        for code in config.rules:
            if code not in rules:
                _refuse(f"{at}rules.{code}: there is no such rule{_near_code(code, rules)}")
        configured = {
            code: _configured(rule, config.rules[code], at) if code in config.rules else rule
            for code, rule in rules.items()
        }
        configured = {code: _with_params_of(rule, configured) for code, rule in configured.items()}
        selected = set(rules) if config.select is None else _matching(config.select, rules, f"{at}select")
        selected -= _matching(config.ignore, rules, f"{at}ignore")
        active = {code: rule for code, rule in configured.items() if code in selected}
        asked = _asked_about(active.values(), configured)
        return cls(
            rules=active,
            silent={code: configured[code] for code in sorted(asked - selected)},
            per_class={code: change.per_class for code, change in config.rules.items() if change.per_class},
            fixed_severity=frozenset(c for c, change in config.rules.items() if change.severity is not None),
            ignores=[
                (glob, frozenset(_matching(codes, rules, f"{at}per-path-ignores.{glob}")))
                for glob, codes in config.per_path_ignores.items()
            ],
            imgsz=config.imgsz,
            max_label_bytes=_label_limit(configured),
            known=frozenset(rules),
        )

    def rule(self, code: str) -> Rule:
        """The active or silent rule of that code."""
        return self.rules[code] if code in self.rules else self.silent[code]

    def task_spec(self, spec: TaskSpec) -> TaskSpec:
        """What training would assume of every row, with the limit that the user has set for label files."""
        return replace(spec, max_label_bytes=self.max_label_bytes)

    def params(self, rule: Rule, spec: TaskSpec) -> Params:
        """The rule's parameters, with class names resolved to ids, and `imgsz`."""
        by_class: dict[int, Mapping[str, float]] = {}
        for key, numbers in self.per_class.get(rule.code, {}).items():
            for class_id in _class_ids(key, spec):
                by_class[class_id] = {**by_class.get(class_id, {}), **numbers}
        return Params({"imgsz": float(self.imgsz), **rule.params}, by_class)

    def unknown_classes(self, spec: TaskSpec) -> list[str]:
        """One sentence for every `per_class` key that is no class of the dataset: probably a slip."""
        names = [str(n) for n in spec.names.values()]
        return [
            f"rules.{code}.per_class: the dataset has no class {key!r}{did_you_mean(str(key), names)}"
            for code, changes in self.per_class.items()
            for key in changes
            if isinstance(key, str) and not _class_ids(key, spec)
        ]

    def ignored_in(self, paths: Iterable[str | None]) -> frozenset[str]:
        """Codes that `per-path-ignores` switches off for a pair with these relative paths."""
        present = [p for p in paths if p]
        codes: frozenset[str] = frozenset()
        for glob, ignored in self.ignores:
            if any(_matches(path, glob) for path in present):
                codes |= ignored
        return codes

    @property
    def digest(self) -> str:
        """Hash of everything here that can change a finding. It takes longer to make than the rules take to build."""
        from hashlib import blake2b

        parts: list[object] = [__version__, self.imgsz, sorted(self.fixed_severity)]
        for kind, rules in (("active", self.rules), ("silent", self.silent)):
            # Where a pack lies does not change what it finds.
            parts += [(kind, repr(replace(rule, source="", line=0))) for _, rule in sorted(rules.items())]
        parts += [sorted((c, repr(sorted(p.items(), key=repr))) for c, p in self.per_class.items())]
        parts += [(glob, sorted(codes)) for glob, codes in self.ignores]
        return blake2b(repr(parts).encode(), digest_size=16).hexdigest()


def _configured(rule: Rule, change: RuleConfig, at: str) -> Rule:
    """The rule with the user's severity and parameters."""
    places = [("params", change.params), *((f"per_class.{c}", p) for c, p in change.per_class.items())]
    for where, numbers in places:
        for name in numbers:
            if name not in rule.params:
                known = ", ".join(rule.params) or "no parameters"
                guess = did_you_mean(name, rule.params) or f": it has {known}"
                _refuse(f"{at}rules.{rule.code}.{where}: there is no parameter {name!r}{guess}")
    if change.per_class and rule.scope in ("file", "recipe"):
        about = "files, which have" if rule.scope == "file" else "a training recipe, which has"
        _refuse(f"{at}rules.{rule.code}.per_class: this rule is about {about} no class")
    severity = rule.severity if change.severity is None else change.severity
    return replace(rule, severity=severity, params={**rule.params, **change.params})


def _with_params_of(rule: Rule, rules: Mapping[str, Rule]) -> Rule:
    """The rule with the parameters of the one that its `params_of` names, besides its own."""
    if rule.params_of is None:
        return rule
    return replace(rule, params={**rules[rule.params_of].params, **rule.params})


def _label_limit(rules: Mapping[str, Rule]) -> int:
    limit = rules["L010"].params["max_mb"] if "L010" in rules else limits.LABEL_BYTES / MIB
    if not 0 < limit * MIB < 1 << 40:
        _refuse(f"rules.L010.params.max_mb: must be a number of megabytes such as 64, not {limit:g}")
    return math.ceil(limit * MIB)


def _matching(wanted: Sequence[str], rules: Mapping[str, Rule], where: str) -> set[str]:
    """Codes that are wanted, or begin with a wanted prefix."""
    codes: set[str] = set()
    for prefix in wanted:
        # A whole code means that rule alone: X1 is no prefix of X10 where there is an X1.
        matched = {c for c in rules if prefix and c.startswith(prefix)} if prefix not in rules else {prefix}
        if not matched:
            _refuse(f"{where}: no rule has the code or prefix {prefix!r}{_near_code(prefix, rules)}")
        codes |= matched
    return codes


def _near_code(word: str, rules: Mapping[str, Rule]) -> str:
    """Hint at a code; whoever writes a rule's name gets its code."""
    by_name = {rule.name: code for code, rule in rules.items()}
    return f" (did you mean {by_name[word]!r}?)" if word in by_name else did_you_mean(word, rules)


def _asked_about(active: Iterable[Rule], rules: Mapping[str, Rule]) -> set[str]:
    """Codes that active rules reach through `unless`."""
    asked: set[str] = set()
    waiting = [code for rule in active for code in rule.unless]
    while waiting:
        code = waiting.pop()
        if code not in asked:
            asked.add(code)
            waiting += rules[code].unless
    return asked


def _class_ids(key: int | str, spec: TaskSpec) -> list[int]:
    if isinstance(key, int):
        return [key]
    return [class_id for class_id, name in spec.names.items() if name == key]


def _matches(path: str, glob: str) -> bool:
    """Whether a glob means a path: `*` crosses folders; without a slash it is about the file name."""
    if glob.endswith("/"):
        glob += "*"
    return fnmatchcase(path if "/" in glob else path.rpartition("/")[2], glob)


def _refuse(problem: str) -> None:
    from sanitizer.config import ConfigError

    raise ConfigError(problem)
