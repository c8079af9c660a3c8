"""YAML that somebody else wrote: limits on depth, number of values, aliases and lengths are checked before parsing.

Without them a few hundred bytes can take all memory (aliases of aliases), the stack (depth), or minutes (a number in
base 60 of a hundred thousand places).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DEPTH = 60
MAX_VALUES = 300_000
"""Keys, values and items: a data.yaml of 100,000 named classes has 200,000."""
MAX_EXPANDED_NODES = 1_000_000
"""Values after every alias is written out; long ones count several times."""
MAX_NUMBER_LENGTH = 1000
"""Characters of a number. Python turns longer ones into int in quadratic time, and refuses to write them."""

TOO_DEEP = f"nests values more than {MAX_DEPTH} deep"

_CHARACTERS_OF_A_NODE = 64
_NUMBER = re.compile(r"[-+.\d][\w:.+-]*")
_NUMBER_TAGS = tuple(f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "timestamp", "bool"))


class Hazard(NamedTuple):
    """A part of a YAML text that must not be parsed.

    Attributes:
        problem: What is wrong, in words that follow "this file".
        mark: Where it is.
        stops_every_reader: Whether every safe reader refuses it; else it only exceeds a limit of ours.
    """

    problem: str
    mark: yaml.Mark
    stops_every_reader: bool


Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def compose(text: str | bytes) -> yaml.Node | None:
    """The one document of a text as nodes, which know their lines; None where there is none.

    Raises:
        yaml.MarkedYAMLError: It is no valid YAML, or beyond a limit; `problem` says which.
        yaml.YAMLError, ValueError: It holds characters that YAML does not allow.
    """
    hazard = find_hazard(text)
    if hazard is not None:
        raise yaml.MarkedYAMLError(problem=hazard.problem, problem_mark=hazard.mark)
    loader = Loader(text)
    try:
        node: yaml.Node | None = loader.get_single_node()
    finally:
        loader.dispose()
    has_anchor = "&" in text if isinstance(text, str) else b"&" in text
    if has_anchor:  # else there is no alias that could be written out
        limit_expansion(node)
    return node


def load(text: str | bytes) -> Any:
    """The document as plain values.

    Raises:
        yaml.MarkedYAMLError, yaml.YAMLError, ValueError: As `compose`, and for values that are none of their type.
        Exception: PyYAML's constructors raise KeyError and more for odd scalars, such as `!!bool x`.
    """
    node = compose(text)
    return None if node is None else yaml.constructor.SafeConstructor().construct_document(node)


def find_hazard(text: str | bytes, python_tags: bool = False) -> Hazard | None:
    """The first part that must not be parsed. Events are not nested, so no recursion can happen here.

    Args:
        text: The document.
        python_tags: Whether tags that ask for Python objects are hazards. Composing such tags builds nothing.

    Raises:
        yaml.YAMLError: The text before that part is no valid YAML.
    """
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=Loader)):
        mark: yaml.Mark = event.start_mark  # type: ignore[assignment]  # a parser's events have marks
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            return Hazard(TOO_DEEP, mark, True)
        if count > MAX_VALUES:
            return Hazard(f"holds more than {MAX_VALUES:,} values", mark, False)
        if python_tags and (problem := _odd_tag(event)) is not None:
            return Hazard(problem, mark, True)
        if (problem := _long_number(event)) is not None:
            return Hazard(problem, mark, False)
    return None


def _odd_tag(event: yaml.Event) -> str | None:
    tag = getattr(event, "tag", None)
    if not tag or "python/" not in tag:
        return None
    short = tag.removeprefix("tag:yaml.org,2002:")
    return f"holds the tag !!{short}, which asks the reader to build or run Python; no safe reader does"


def _long_number(event: yaml.Event) -> str | None:
    if not isinstance(event, yaml.ScalarEvent) or len(event.value) <= MAX_NUMBER_LENGTH:
        return None
    plain = event.implicit[0] and _NUMBER.fullmatch(event.value)
    if plain or event.tag in _NUMBER_TAGS:
        return f"holds a number of {len(event.value):,} characters"
    return None


def limit_expansion(root: yaml.Node | None) -> None:
    """Check that the document stays within the limits when every alias is written out, and that no alias holds itself.

    Raises:
        yaml.MarkedYAMLError: It does not.
    """
    known: dict[int, tuple[int, int] | None] = {}

    def measure(node: yaml.Node) -> tuple[int, int]:
        """(number of values, depth) of a node with all aliases written out. The node of an alias is measured before."""
        if id(node) not in known:
            known[id(node)] = None
            size, depth = 1, 0
            if isinstance(node, yaml.ScalarNode):
                size += len(node.value) // _CHARACTERS_OF_A_NODE
            for child in _children(node):
                child_size, child_depth = measure(child)
                size, depth = size + child_size, max(depth, child_depth)
            if size > MAX_EXPANDED_NODES:
                _refuse(f"aliases stand for more than {MAX_EXPANDED_NODES:,} values", node)
            if depth >= MAX_DEPTH + 1:
                _refuse(f"aliases nest values more than {MAX_DEPTH} deep", node)
            known[id(node)] = size, depth + 1
        found = known[id(node)]
        if found is None:
            _refuse("an alias refers to itself", node)
        return found

    if root is not None:
        measure(root)


def _refuse(problem: str, node: yaml.Node) -> NoReturn:
    raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value
