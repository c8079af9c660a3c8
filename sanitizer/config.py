"""What the user asked for in sanitize.yaml or pyproject.toml: which rules, with which parameters."""

from __future__ import annotations

import math
import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from sanitizer.findings.finding import Severity
from sanitizer.storage.base import LOCAL, Storage
from sanitizer.storage.opening import absolute, open_path
from sanitizer.util.bounded_read import MIB, TooLargeError, as_size, read_stream
from sanitizer.util.escape import first_line
from sanitizer.util.paths import absolute_path, common_path, is_url, join_path, normal_path, posix, real_path
from sanitizer.util.suggest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

CONFIG_NAME = "sanitize.yaml"
PYPROJECT_NAME = "pyproject.toml"
FAIL_ON = ("error", "warning", "info", "never")
MAX_BYTES = 1_000_000
MAX_NAMED_BYTES = 32 * MIB
"""The largest baseline that comes with a dataset, of half a million findings: as JSON in memory it may take twenty
times as much. What the user names has no such limit."""
MAX_ID_DIGITS = 19
"""A class of more digits is no id: no label could hold it."""
MAX_IMGSZ = 100_000
"""Training image size in pixels; what is larger is a slip of the keyboard."""


class ConfigError(Exception):
    """The configuration is wrong; the text is a sentence that names the file and the key."""


@dataclass(frozen=True, slots=True)
class RuleConfig:
    """What the user changed about one rule.

    Attributes:
        severity: In place of the rule's own; None leaves it.
        params: Parameter name to number.
        per_class: Class id or class name to the parameters that differ for it.
    """

    severity: Severity | None = None
    params: Mapping[str, float] = field(default_factory=dict)
    per_class: Mapping[int | str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that can be configured. Codes are not checked here: that takes the rules.

    Attributes:
        select: Codes or prefixes to run; None runs all rules.
        ignore: Codes or prefixes not to run.
        rules: Code to what was changed about it.
        per_path_ignores: Glob, matched against paths relative to the dataset root, to codes ignored there.
        packs: Absolute paths of the user's own rule packs.
        baseline: Absolute path of the file of known findings, or None.
        fail_on: Least severity that makes the exit status 1: error, warning, info or never.
        imgsz: Training image size in pixels, which sizes "after resizing" are measured by.
        source: File this was read from, or None.
    """

    select: tuple[str, ...] | None = None
    ignore: tuple[str, ...] = ()
    rules: Mapping[str, RuleConfig] = field(default_factory=dict)
    per_path_ignores: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    packs: tuple[str, ...] = ()
    baseline: str | None = None
    fail_on: str = "error"
    imgsz: int = 640
    source: str | None = None


def load_config(start_dir: str, explicit: str | None = None, storage: Storage = LOCAL) -> Config:
    """Read the configuration that applies to a folder.

    Args:
        start_dir: Folder of the dataset. Its sanitize.yaml is taken, else the `[tool.sanitize]` of its
            pyproject.toml, else those of the nearest folder above.
        explicit: This file instead, either kind.
        storage: Where the dataset is. Elsewhere than on this disk no folder above its own is looked into.

    Raises:
        ConfigError: A file cannot be read, or a key or value in it is wrong.
    """
    if explicit is not None:
        path = absolute(explicit)
        return _build(path, _read_toml(path) if path.endswith(".toml") else _read_yaml(path))
    if storage.remote:
        return _load_beside(start_dir, storage)
    start = folder = absolute_path(start_dir)
    while True:
        beside = _within(folder) if folder == start else None
        yaml_path = join_path(folder, CONFIG_NAME)
        if os.path.isfile(yaml_path):
            return _build(yaml_path, _read_yaml(yaml_path), beside)
        toml_path = join_path(folder, PYPROJECT_NAME)
        if os.path.isfile(toml_path) and b"tool.sanitize" in _read_bytes(toml_path):
            table = _read_toml(toml_path)
            if table is not None:
                return _build(toml_path, table, beside)
        parent = os.path.dirname(folder)
        if parent == folder:
            return Config()
        folder = parent


def _load_beside(folder: str, storage: Storage) -> Config:
    """The configuration in a folder of some storage; what it names is sought there, too, and not on this disk."""

    def beside(name: str, at: _At) -> str:
        return storage.url(normal_path(join_path(folder, name)))

    for name, read in ((CONFIG_NAME, _read_yaml), (PYPROJECT_NAME, _read_toml)):
        path = f"{folder}/{name}"
        content = read(storage.url(path)) if storage.isfile(path) else None
        if content is not None:
            return _build(storage.url(path), content, beside)
    return Config()


def _within(folder: str) -> Callable[[str, _At], str]:
    """Paths of names in a configuration that came with the dataset: it may name what lies in the dataset only.

    Whoever made it could else have any file of this machine opened, and lines of it shown.
    """

    def beside(name: str, at: _At) -> str:
        path = join_path(folder, name)
        try:
            real = real_path(folder)
            inside = common_path([real_path(path), real]) == real
        except (OSError, ValueError):  # a NUL in the name
            inside = False
        if is_url(name) or not inside:
            at.fail(
                f"{_kind(name)} leads out of the dataset, and a configuration that lies in the dataset may "
                "name files in it only: move the file there, or name this configuration with --config"
            )
        if os.path.isfile(path) and os.path.getsize(path) > MAX_NAMED_BYTES:
            at.fail(
                f"{_kind(name)} is larger than {as_size(MAX_NAMED_BYTES)}: name this configuration with --config"
            )
        return path

    return beside


def _read_bytes(path: str) -> bytes:
    try:
        with open_path(path) as file:
            return read_stream(file, MAX_BYTES, path)
    except TooLargeError:
        raise ConfigError(f"{path}: over {MAX_BYTES:,} bytes, too long for a configuration") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the configuration: {error.strerror}") from error


def _read_toml(path: str) -> object:
    """The `[tool.sanitize]` table; None where there is none."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    try:
        content = tomllib.loads(_read_bytes(path).decode("utf-8"))
    except (ValueError, RecursionError) as error:  # ValueError: a number of thousands of digits, too
        raise ConfigError(f"{path}: no valid TOML: {error}") from error
    tool = content.get("tool", {})
    return tool.get("sanitize") if isinstance(tool, dict) else None


def _read_yaml(path: str) -> object:
    import yaml

    from sanitizer.util import bounded_yaml

    try:
        return bounded_yaml.load(_read_bytes(path))
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{path}{line}: no valid YAML: {error.problem}") from error
    except Exception as error:  # PyYAML's constructors raise KeyError and more: `!!bool x`
        raise ConfigError(f"{path}: no valid YAML: {first_line(error)}") from error


@dataclass(frozen=True, slots=True)
class _At:
    """Where in the configuration a value stands, for error messages: file and keys from the top."""

    path: str
    keys: tuple[object, ...] = ()

    def under(self, key: object) -> _At:
        return _At(self.path, (*self.keys, key))

    def fail(self, problem: str) -> NoReturn:
        line = _line_of(self.path, self.keys) if self.keys else None
        place = f"{self.path}:{line}" if line else self.path
        keys = ".".join(map(str, self.keys))
        raise ConfigError(f"{place}: {keys + ': ' if keys else ''}{problem}")

    def fail_key(self, key: object, known: Sequence[str]) -> NoReturn:
        guess = did_you_mean(str(key), known) or f"; known are {', '.join(known)}"
        self.under(key).fail(f"unknown key{guess}")


def _line_of(path: str, keys: Sequence[object]) -> int | None:
    """Line of a key in a YAML file: read again, as only an error needs it."""
    if path.endswith(".toml"):
        return None
    import yaml

    from sanitizer.util import bounded_yaml

    node = bounded_yaml.compose(_read_bytes(path))
    line = None
    for key in keys:
        if not isinstance(node, yaml.MappingNode):
            break
        for key_node, value_node in node.value:
            if key_node.value == str(key):
                line, node = key_node.start_mark.line + 1, value_node
                break
    return line


def _build(path: str, content: object, beside: Callable[[str, _At], str] | None = None) -> Config:
    """The configuration; `beside` makes paths of names in it, those in the file's folder by default."""
    at = _At(path)
    values = _mapping({} if content is None else content, at, tuple(_KEYS))
    if beside is None:
        folder = os.path.dirname(path)

        def beside(name: str, at: _At) -> str:
            return join_path(folder, name)

    read: dict[str, Any] = {_KEYS[k][0]: _KEYS[k][1](v, at.under(k)) for k, v in values.items()}
    if "packs" in read:
        read["packs"] = tuple(beside(name, at.under("packs")) for name in read["packs"])
    if read.get("baseline") is not None:
        read["baseline"] = beside(read["baseline"], at.under("baseline"))
    return Config(**read, source=path)


def _mapping(value: object, at: _At, known: Sequence[str] | None = None) -> dict[Any, object]:
    """The value as a mapping, its keys checked against the known ones."""
    if not isinstance(value, dict):
        at.fail(f"must be a mapping of key to value, not {_kind(value)}")
    for key in value:
        if known is not None and key not in known:
            at.fail_key(key, known)
    return value


def _strings(value: object, at: _At) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        at.fail(f"must be a list of texts such as [B001, C], not {_kind(value)}")
    return tuple(value)


def _string(value: object, at: _At) -> str:
    if not isinstance(value, str) or not value:
        at.fail(f"must be a text, not {_kind(value)}")
    return value


def _fail_on(value: object, at: _At) -> str:
    return _one_of(value, FAIL_ON, at)


def _one_of(value: object, known: Sequence[str], at: _At) -> str:
    if not isinstance(value, str) or value not in known:
        guess = did_you_mean(value[:60], known) if isinstance(value, str) else ""
        at.fail(f"must be one of {', '.join(known)}, not {_kind(value)}{guess}")
    return value


def _imgsz(value: object, at: _At) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        at.fail(f"must be a whole number of pixels such as 640, not {_kind(value)}")
    if value > MAX_IMGSZ:
        at.fail(f"must be at most {MAX_IMGSZ:,} pixels, not {_kind(value)}")
    return value


def _per_path_ignores(value: object, at: _At) -> dict[str, tuple[str, ...]]:
    values = _mapping(value, at)
    return {posix(_string(glob, at)): _strings(codes, at.under(glob)) for glob, codes in values.items()}


def _rules(value: object, at: _At) -> dict[str, RuleConfig]:
    return {_string(code, at): _rule(change, at.under(code)) for code, change in _mapping(value, at).items()}


def _rule(value: object, at: _At) -> RuleConfig:
    values = _mapping(value, at, ("severity", "params", "per_class"))
    severity = None
    if "severity" in values:
        severity = _severity(values["severity"], at.under("severity"))
    by_class = _mapping(values.get("per_class", {}), at.under("per_class"))
    return RuleConfig(
        severity,
        _numbers(values.get("params", {}), at.under("params")),
        {class_key(cls): _numbers(v, at.under("per_class").under(cls)) for cls, v in by_class.items()},
    )


def class_key(written: object) -> int | str:
    """Class id or class name, as TOML and the command line write both as text."""
    text = str(written)
    return int(text) if text.isascii() and text.isdigit() and len(text) < MAX_ID_DIGITS else text


def _severity(value: object, at: _At) -> Severity:
    return Severity.parse(_one_of(value, [s.label for s in Severity], at))


def _numbers(value: object, at: _At) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for name, number in _mapping(value, at).items():
        finite = finite_number(number)
        if finite is None:
            at.under(name).fail(f"must be a number, not {_kind(number)}")
        numbers[_string(name, at)] = finite
    return numbers


def finite_number(value: object) -> float | None:
    """The value as a float; None where it is no number, or one that no float can hold, such as 10**400."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _kind(value: object) -> str:
    """What was found instead, short enough for one line."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list" if all(isinstance(v, str) for v in value) else "a list of other things than texts"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**20:
        return f"a number of {len(str(abs(value)))} digits"
    return repr(value if not isinstance(value, str) else value[:60])[:60]


_KEYS: dict[str, tuple[str, Callable[[object, _At], object]]] = {
    "select": ("select", _strings),
    "ignore": ("ignore", _strings),
    "rules": ("rules", _rules),
    "per-path-ignores": ("per_path_ignores", _per_path_ignores),
    "packs": ("packs", _strings),
    "baseline": ("baseline", _string),
    "fail-on": ("fail_on", _fail_on),
    "imgsz": ("imgsz", _imgsz),
}
