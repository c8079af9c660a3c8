"""Packs as YAML nodes, which know their lines: values that nobody asks for are never made."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

from sanitizer.storage.opening import open_path
from sanitizer.util.bounded_read import TooLargeError, read_stream

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import yaml

MAX_BYTES = 1_000_000
_TEXT = "tag:yaml.org,2002:str"
_EXAMPLES = re.compile(rb"^  examples:.*\n(?:(?:   .*|\r?)\n)*", re.MULTILINE)
"""The key `examples` of a rule in a pack of the program, with all that is below it."""


class PackError(Exception):
    """A rule pack cannot be used; the text names file and line, and may show the place on two further lines."""


def compose(path: str, built_in: bool = False) -> yaml.Node | None:
    """The pack as YAML nodes; None where it is empty.

    A pack of the program comes without its examples, and needs no search for hazards: each takes as long as the rest.

    Raises:
        PackError: It cannot be read, or is no valid YAML.
    """
    import yaml

    from sanitizer.util import bounded_yaml

    try:
        with open_path(path) as file:
            text = read_stream(file, MAX_BYTES, path)
        if built_in:
            return yaml.compose(_EXAMPLES.sub(_empty_lines, text), bounded_yaml.Loader)
        return bounded_yaml.compose(text)
    except TooLargeError:
        raise PackError(f"{path}: over {MAX_BYTES:,} bytes, too long for a rule pack") from None
    except OSError as e:
        raise PackError(f"{path}: cannot read the rule pack: {e.strerror}") from e
    except yaml.MarkedYAMLError as e:
        line = f":{e.problem_mark.line + 1}" if e.problem_mark else ""
        raise PackError(f"{path}{line}: no valid YAML: {e.problem}") from e
    except (yaml.YAMLError, ValueError, RecursionError) as e:
        raise PackError(f"{path}: no valid YAML: {(str(e).splitlines() or [''])[0]}") from e


def _empty_lines(lines: re.Match[bytes]) -> bytes:
    """As many, so that what follows keeps its line numbers."""
    return b"\n" * lines[0].count(b"\n")


def plain(path: str, node: yaml.Node) -> Any:
    """The node as plain Python values."""
    import yaml

    if node.tag == _TEXT and isinstance(node, yaml.ScalarNode):
        return node.value
    try:
        return yaml.constructor.SafeConstructor().construct_document(node)
    except Exception as e:  # PyYAML's constructors raise KeyError and more: `!!bool x`
        problem = getattr(e, "problem", None) or (str(e).splitlines() or [""])[0]
        raise PackError(f"{path}:{node.start_mark.line + 1}: no valid YAML: {problem}") from e


@functools.lru_cache(maxsize=32)
def examples_of(path: str) -> Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]:
    """Code to its examples, for a pack that has been checked already."""
    examples = {}
    root = compose(path)
    for node in root.value if root else ():
        item = {key.value: value for key, value in node.value}
        if "examples" in item:
            given = plain(path, item["examples"])
            examples[item["code"].value] = {"bad": given.get("bad") or [], "good": given.get("good") or []}
    return examples
