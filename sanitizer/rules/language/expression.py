"""A `when`, `value` or `threshold` text as a function of NumPy columns, through a whitelisted AST.

The text is parsed, never run: each node of a short list becomes a small closure, anything else is refused with
its place. So an expression can only read the columns it is given and do arithmetic with them.

Unknown values (NaN: an image whose size nobody could read) never make a condition true, under `not` either:
`not` is pushed down to the comparisons, and no comparison holds of NaN, nor does its opposite. Only `isnan` and
`isfinite` may ask about them. Division by zero is infinite, 0 / 0 unknown.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sanitizer.util.suggest import did_you_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

Kind = Literal["number", "truth"]
Columns = Mapping[str, Any]
"""Name to number, float array or bool array; all arrays of one length."""
Evaluator = Callable[[Columns], Any]

MAX_LENGTH = 1000
MAX_DEPTH = 24
MAX_EXPONENT = 8

_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.FloorDiv: np.floor_divide,
    ast.Mod: np.remainder,
}


def _differ(a: Any, b: Any) -> Any:
    return (a < b) | (a > b)


_COMPARISONS: dict[type[ast.cmpop], tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]] = {
    ast.Lt: (np.less, np.greater_equal),
    ast.LtE: (np.less_equal, np.greater),
    ast.Gt: (np.greater, np.less_equal),
    ast.GtE: (np.greater_equal, np.less),
    ast.Eq: (np.equal, _differ),
    ast.NotEq: (_differ, np.equal),
}
"""Operator to (where it holds, where its opposite holds); of NaN neither is true."""

_NUMBER_FUNCTIONS: dict[str, tuple[int, Callable[..., Any]]] = {
    "abs": (1, np.abs),
    "sqrt": (1, np.sqrt),
    "exp": (1, np.exp),
    "log": (1, np.log),
    "log2": (1, np.log2),
    "log10": (1, np.log10),
    "floor": (1, np.floor),
    "ceil": (1, np.ceil),
    "round": (1, np.round),
    "hypot": (2, np.hypot),
}
_TRUTH_FUNCTIONS: dict[str, Callable[[Any], Any]] = {"isnan": np.isnan, "isfinite": np.isfinite}
_FOLDS: dict[str, Callable[[Any, Any], Any]] = {"min": np.minimum, "max": np.maximum}
FUNCTIONS: tuple[str, ...] = (*_NUMBER_FUNCTIONS, *_TRUTH_FUNCTIONS, *_FOLDS, "where")

_ADVICE: dict[type[ast.AST], str] = {
    ast.Attribute: "a name with a dot is not allowed",
    ast.Subscript: "square brackets are not allowed",
    ast.Lambda: "lambda is not allowed",
    ast.NamedExpr: "':=' is not allowed: compare with '=='",
    ast.IfExp: "'if … else' is not allowed: use where(condition, a, b)",
    ast.JoinedStr: "text is not allowed, only numbers and names",
    ast.BitAnd: "'&' is not allowed: use 'and'",
    ast.BitOr: "'|' is not allowed: use 'or'",
    ast.BitXor: "'^' is not allowed: a power is written '**'",
    ast.Invert: "'~' is not allowed: use 'not'",
    ast.In: "'in' is not allowed: write a == 1 or a == 2",
    ast.NotIn: "'not in' is not allowed: write a != 1 and a != 2",
    ast.Is: "'is' is not allowed: use '=='",
    ast.IsNot: "'is not' is not allowed: use '!='",
}


class ExpressionError(ValueError):
    """The text is no expression that a rule may use.

    Attributes:
        reason: What is wrong, a sentence without its full stop.
        text: The expression.
        offset: 0-based character of `text` where it is wrong.
    """

    def __init__(self, reason: str, text: str, offset: int) -> None:
        super().__init__(reason, text, offset)
        self.reason, self.text, self.offset = reason, text, offset

    def __str__(self) -> str:
        return f"{self.reason}\n{self.caret()}"

    def caret(self) -> str:
        """The line of the text that is wrong, and under it a caret."""
        start = self.text.rfind("\n", 0, self.offset) + 1
        line = self.text[start:].partition("\n")[0]
        return f"    {line}\n    {' ' * (self.offset - start)}^"


class Expression:
    """A checked expression. Pickles as its text.

    Attributes:
        text: As written.
        kind: "truth" for a condition, "number" for a quantity.
        names: The columns it reads.
    """

    __slots__ = ("_evaluate", "_known", "kind", "names", "text")

    def __init__(self, text: str, known: Mapping[str, Kind], kind: Kind) -> None:
        """Check and compile.

        Args:
            text: The expression.
            known: The names it may use, and whether each is a number or a truth value.
            kind: What it must come out as.

        Raises:
            ExpressionError: It uses anything but names, numbers, comparisons, arithmetic, and/or/not and
                `FUNCTIONS`, is too long or too deep, or comes out as the other kind.
        """
        compiler = _Compiler(text, known)
        tree = compiler.parse()
        evaluate = compiler.truth(tree, True) if kind == "truth" else compiler.number(tree)
        self.text, self.kind, self._known, self._evaluate = text, kind, dict(known), evaluate
        self.names = frozenset(compiler.used)

    def __call__(self, columns: Columns, length: int) -> NDArray[Any]:
        """Evaluate over columns of `length` rows: bool (length,) for a condition, else float64 (length,)."""
        with np.errstate(all="ignore"):
            result = np.asarray(self._evaluate(columns), np.bool_ if self.kind == "truth" else np.float64)
        return np.broadcast_to(result, (length,))

    def __reduce__(self) -> tuple[type[Expression], tuple[str, Mapping[str, Kind], Kind]]:
        return Expression, (self.text, self._known, self.kind)


class _Compiler:
    """One pass over the tree of one text; `used` collects the names it reads."""

    def __init__(self, text: str, known: Mapping[str, Kind]) -> None:
        self.text, self.known = text, known
        self.used: set[str] = set()
        self.depth = 0
        # An expression may run over several lines of a YAML block; blanks keep every character's place.
        self.source = re.sub(r"\s", " ", text).lstrip()
        self.indent = len(text) - len(self.source)

    def error(self, reason: str, node: ast.AST | None = None) -> ExpressionError:
        return ExpressionError(reason, self.text, 0 if node is None else self._offset(node))

    def _offset(self, node: ast.AST) -> int:
        """Character of the text where a node starts; ast counts bytes."""
        n_bytes = getattr(node, "col_offset", 0)
        return self.indent + len(self.source.encode()[:n_bytes].decode(errors="ignore"))

    def parse(self) -> ast.expr:
        if not self.text.strip():
            raise self.error("the expression is empty")
        if len(self.text) > MAX_LENGTH:
            raise self.error(
                f"the expression has {len(self.text)} characters, over the limit of {MAX_LENGTH}"
            )
        if "#" in self.text or "\0" in self.text:
            raise self.error("comments and control characters are not allowed in an expression")
        try:
            return ast.parse(self.source, mode="eval").body
        except SyntaxError as e:
            offset = min(self.indent + max((e.offset or 1) - 1, 0), len(self.text))
            raise ExpressionError("this is no expression", self.text, offset) from None
        except (ValueError, RecursionError, MemoryError):
            raise self.error("this is no expression") from None

    def _enter(self, node: ast.AST) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(f"the expression is nested more than {MAX_DEPTH} deep", node)

    def number(self, node: ast.expr) -> Evaluator:
        """Closure for a node that must be a number."""
        self._enter(node)
        try:
            return self._number(node)
        finally:
            self.depth -= 1

    def truth(self, node: ast.expr, wanted: bool) -> Evaluator:
        """Closure for where a condition is known to be `wanted`."""
        self._enter(node)
        try:
            return self._truth(node, wanted)
        finally:
            self.depth -= 1

    def _number(self, node: ast.expr) -> Evaluator:
        if isinstance(node, ast.Constant):
            constant = self._constant(node)
            return lambda columns: constant
        if isinstance(node, ast.Name):
            name = self._name(node, "number")
            return lambda columns: columns[name]
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            operand = self.number(node.operand)
            return operand if isinstance(node.op, ast.UAdd) else lambda columns: np.negative(operand(columns))
        if isinstance(node, ast.BinOp):
            return self._arithmetic(node)
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.Compare | ast.BoolOp) or _is_not(node):
            raise self.error("a number is needed here, but this is a condition (true or false)", node)
        raise self._refused(node.op if isinstance(node, ast.UnaryOp) else node, node)

    def _arithmetic(self, node: ast.BinOp) -> Evaluator:
        if isinstance(node.op, ast.Pow):
            return self._power(node)
        if type(node.op) not in _ARITHMETIC:
            raise self._refused(node.op, node)
        function = _ARITHMETIC[type(node.op)]
        left, right = self.number(node.left), self.number(node.right)
        return lambda columns: function(left(columns), right(columns))

    def _power(self, node: ast.BinOp) -> Evaluator:
        base = self.number(node.left)
        sign, exponent = 1.0, node.right
        if isinstance(exponent, ast.UnaryOp) and isinstance(exponent.op, ast.USub):
            sign, exponent = -1.0, exponent.operand
        if not isinstance(exponent, ast.Constant):
            raise self.error(f"a power must be a plain number of at most {MAX_EXPONENT}", node.right)
        power = sign * self._constant(exponent)
        if abs(power) > MAX_EXPONENT:
            raise self.error(f"a power must be a plain number of at most {MAX_EXPONENT}", node.right)
        return lambda columns: np.power(np.asarray(base(columns), np.float64), power)

    def _truth(self, node: ast.expr, wanted: bool) -> Evaluator:
        if isinstance(node, ast.Name):
            name = self._name(node, "truth")
            return (lambda c: c[name]) if wanted else (lambda c: np.logical_not(c[name]))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return self.truth(node.operand, not wanted)
        if isinstance(node, ast.BoolOp):
            # De Morgan: "a and b" is false where either is known to be false.
            parts = [self.truth(value, wanted) for value in node.values]
            return _fold(np.logical_and if isinstance(node.op, ast.And) == wanted else np.logical_or, parts)
        if isinstance(node, ast.Compare):
            return self._comparison(node, wanted)
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in _TRUTH_FUNCTIONS
        ):
            function, argument = _TRUTH_FUNCTIONS[node.func.id], self._arguments(node, 1)[0]
            if wanted:
                return lambda columns: function(argument(columns))
            return lambda columns: np.logical_not(function(argument(columns)))
        self._number(node)  # whatever is wrong inside it is the better message
        raise self.error("a condition is needed here, but this is a number: compare it with something", node)

    def _comparison(self, node: ast.Compare, wanted: bool) -> Evaluator:
        for op in node.ops:
            if type(op) not in _COMPARISONS:
                raise self._refused(op, node)
        terms = [self.number(term) for term in (node.left, *node.comparators)]
        links = []
        for left, op, right in zip(terms, node.ops, terms[1:], strict=False):
            links.append(_compared(_COMPARISONS[type(op)][0 if wanted else 1], left, right))
        return _fold(np.logical_and if wanted else np.logical_or, links)

    def _call(self, node: ast.Call) -> Evaluator:
        if not isinstance(node.func, ast.Name):
            raise self.error("only the functions " + ", ".join(FUNCTIONS) + " can be called", node)
        name = node.func.id
        if name in _NUMBER_FUNCTIONS:
            n_arguments, function = _NUMBER_FUNCTIONS[name]
            arguments = self._arguments(node, n_arguments)
            return lambda columns: function(*[a(columns) for a in arguments])
        if name in _FOLDS:
            return _fold(_FOLDS[name], self._arguments(node, None))
        if name == "where":
            return self._where(node)
        if name in _TRUTH_FUNCTIONS:
            raise self.error("a number is needed here, but this is a condition (true or false)", node)
        hint = did_you_mean(name, FUNCTIONS)
        raise self.error(f"{name!r} is no function here{hint or '; there are ' + ', '.join(FUNCTIONS)}", node)

    def _where(self, node: ast.Call) -> Evaluator:
        if len(node.args) != 3 or node.keywords:
            raise self.error("where takes (condition, number, number)", node)
        holds, fails = self.truth(node.args[0], True), self.truth(node.args[0], False)
        one, other = self.number(node.args[1]), self.number(node.args[2])

        def choose(columns: Columns) -> Any:
            otherwise = np.where(fails(columns), other(columns), np.nan)
            return np.where(holds(columns), one(columns), otherwise)

        return choose

    def _arguments(self, node: ast.Call, count: int | None) -> list[Evaluator]:
        """Closures of a call's arguments; `count` None asks for two or more."""
        assert isinstance(node.func, ast.Name)
        if node.keywords or any(isinstance(a, ast.Starred) for a in node.args):
            raise self.error(f"{node.func.id} takes plain arguments only", node)
        if len(node.args) < 2 if count is None else len(node.args) != count:
            wanted = {None: "two or more arguments", 1: "one argument"}.get(count, f"{count} arguments")
            raise self.error(f"{node.func.id} takes {wanted}", node)
        return [self.number(a) for a in node.args]

    def _constant(self, node: ast.Constant) -> float:
        if isinstance(node.value, bool) or not isinstance(node.value, int | float):
            raise self.error("only numbers and names are allowed", node)
        try:
            number = float(node.value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self.error("the number is too large", node)
        return number

    def _name(self, node: ast.Name, kind: Kind) -> str:
        if node.id not in self.known:
            if node.id in FUNCTIONS:
                raise self.error(f"{node.id} is a function: write {node.id}(…)", node)
            hint = did_you_mean(node.id, self.known)
            raise self.error(
                f"{node.id!r} is no name here{hint or '; there are ' + _listed(self.known)}", node
            )
        if self.known[node.id] != kind:
            wrong = (
                "true or false, not a number" if kind == "number" else "a number: compare it with something"
            )
            raise self.error(f"{node.id} is {wrong}", node)
        self.used.add(node.id)
        return node.id

    def _refused(self, node: ast.AST, at: ast.AST | None = None) -> ExpressionError:
        reason = _ADVICE.get(type(node), f"{type(node).__name__} is not allowed in a rule")
        return self.error(reason, at or node)


def _is_not(node: ast.expr) -> bool:
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)


def _compared(function: Callable[[Any, Any], Any], left: Evaluator, right: Evaluator) -> Evaluator:
    return lambda columns: function(left(columns), right(columns))


def _fold(function: Callable[[Any, Any], Any], parts: list[Evaluator]) -> Evaluator:
    """Closure that joins the parts from left to right."""
    if len(parts) == 1:
        return parts[0]

    def folded(columns: Columns) -> Any:
        result = parts[0](columns)
        for part in parts[1:]:
            result = function(result, part(columns))
        return result

    return folded


def _listed(names: Mapping[str, Kind]) -> str:
    return ", ".join(sorted(names))
