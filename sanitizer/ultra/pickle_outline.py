"""Reads the content of a PyTorch pickle without running it: makes no objects, calls no functions, reads no tensors.

A pickle is a small program. This module follows the program as the real unpickler would, but makes simple records
(`Instance`, `StoredTensor`, …) in place of the real objects, so that the content can be checked before anybody loads
it. A pickle is refused if it uses a name that no checkpoint needs, calls a function other than those in `FUNCTIONS`,
or calls a class with arguments.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_OPERATIONS = 2_000_000
"""Limit of the pickle's operations. Published checkpoints have 40,000; the largest models with optimizer 300,000."""

_BUILTINS = ("builtins", "__builtin__")
_PATHS = tuple(f"{m} {c}" for m in ("pathlib", "pathlib._local") for c in ("PosixPath", "WindowsPath"))
NAMESPACES = ("ultralytics.utils IterableSimpleNamespace", "ultralytics.yolo.utils IterableSimpleNamespace")
"""The class that holds arguments, under both its names. Python pickles it as a call without arguments."""
FUNCTIONS = frozenset(
    (
        "collections OrderedDict",
        "torch._utils _rebuild_tensor_v2",
        "torch._utils _rebuild_parameter",
        "torch Size",
        "torch device",
        "numpy dtype",
        "numpy.core.multiarray scalar",
        "numpy._core.multiarray scalar",
        "_codecs encode",
        "torchvision.transforms.functional InterpolationMode",
        *(f"{module} {name}" for module in _BUILTINS for name in ("set", "getattr")),
        *_PATHS,
        *NAMESPACES,
    )
)
"""Functions and classes that a checkpoint may call, as `module name`. None of them does more than make a value."""
GETATTR = frozenset(f"{module} getattr" for module in _BUILTINS)
FORWARD = frozenset(("forward", "forward_fuse"))


class PickleRefusedError(Exception):
    """The pickle does more than a checkpoint needs; the text is a phrase."""


class UnknownNameError(PickleRefusedError):
    """The pickle names a class or function that no checkpoint needs.

    Attributes:
        name: The name, as `module name`.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"it names {name.replace(' ', '.')!r}")
        self.name = name


@dataclass(frozen=True, slots=True)
class Name:
    """A class or function that the pickle names, as `module name`."""

    text: str


@dataclass(slots=True, eq=False)
class Instance:
    """An object that the pickle makes empty and then fills.

    Attributes:
        kind: The object's class, as `module name`.
        state: The object's attributes.
    """

    kind: str
    state: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class TensorStorage:
    """A member of the archive with the numbers of tensors.

    Attributes:
        kind: Class of the storage, as `module name`; it says the type of the numbers.
        key: Name of the member below data/.
        count: How many numbers it holds.
    """

    kind: str
    key: str
    count: int


@dataclass(frozen=True, slots=True, eq=False)
class StoredTensor:
    """A tensor with the shape `size`."""

    storage: TensorStorage
    size: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Method:
    """The method `forward` of a class or an object, or a member of an enumeration."""

    owner: Name | Instance
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Other:
    """The result of another function of `FUNCTIONS`: a path, a device, a NumPy number."""

    kind: str
    arguments: tuple[Any, ...]


class Ordered(dict[Any, Any]):
    """A `collections.OrderedDict`."""


def outline(pickle: bytes, is_class: Callable[[str], bool]) -> Any:
    """The content of a pickle: plain values, and simple records in place of all other objects.

    Args:
        pickle: The pickle's bytes.
        is_class: Whether the pickle may make objects of a class, given as `module name`.

    Raises:
        PickleRefusedError: The pickle does more than a checkpoint needs.
        ValueError: The bytes are not a complete pickle.
    """
    machine = _PickleMachine(is_class)
    try:
        for count, (operation, argument, _) in enumerate(pickletools.genops(pickle)):
            if count > MAX_OPERATIONS:
                raise PickleRefusedError(f"it takes more than {MAX_OPERATIONS:,} steps to read")
            machine.step(operation.name, argument)
        return machine.result()
    except (IndexError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(f"no whole pickle ({type(error).__name__})") from error


class _PickleMachine:
    """Follows a pickle's operations, with its stack, marks and memo; one method for each operation."""

    def __init__(self, is_class: Callable[[str], bool]) -> None:
        self.is_class = is_class
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def result(self) -> Any:
        """The only value on the stack at the end."""
        (value,) = self.stack
        return value

    def step(self, operation: str, argument: Any) -> None:
        """Follow one operation of the pickle."""
        if operation in _VALUES:
            self.stack.append(argument)
        elif operation in _CONSTANTS:
            self.stack.append(_CONSTANTS[operation])
        elif operation in _EMPTY:
            self.stack.append(_EMPTY[operation]())
        else:
            action = getattr(self, f"_{operation.lower()}", None)
            if action is None:
                raise PickleRefusedError(f"it uses {operation}, which PyTorch does not write")
            action(argument)

    def _proto(self, _: Any) -> None:
        pass

    _frame = _stop = _proto

    def _mark(self, _: Any) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def _since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def _tuple(self, _: Any) -> None:
        items = tuple(self._since_mark())
        self.stack.append(items)

    def _last(self, n: int) -> None:
        if len(self.stack) < n:
            raise IndexError
        items = tuple(self.stack[-n:])
        self.stack[-n:] = [items]

    def _tuple1(self, _: Any) -> None:
        self._last(1)

    def _tuple2(self, _: Any) -> None:
        self._last(2)

    def _tuple3(self, _: Any) -> None:
        self._last(3)

    def _binput(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    _long_binput = _binput

    def _memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def _binget(self, index: int) -> None:
        self.stack.append(self.memo[index])

    _long_binget = _binget

    def _append(self, _: Any) -> None:
        item = self.stack.pop()
        self._extend([item])

    def _appends(self, _: Any) -> None:
        self._extend(self._since_mark())

    def _extend(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise PickleRefusedError("it appends to what is no list")
        self.stack[-1].extend(items)

    def _setitem(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._update([key, value])

    def _setitems(self, _: Any) -> None:
        self._update(self._since_mark())

    def _update(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], dict):
            raise PickleRefusedError("it sets items of what is no dictionary")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) not in (str, int, float, bool, type(None)):
                raise PickleRefusedError("a dictionary has keys that are neither text nor numbers")
            self.stack[-1][key] = value

    def _global(self, argument: str) -> None:
        if not (argument in FUNCTIONS or is_torch_value(argument) or self.is_class(argument)):
            raise UnknownNameError(argument)
        self.stack.append(Name(argument))

    def _stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if type(name) is not str or type(module) is not str or " " in name + module:
            raise PickleRefusedError("it names a class by what is no text")
        self._global(f"{module} {name}")

    def _binpersid(self, _: Any) -> None:
        match self.stack.pop():
            case ("storage", Name(kind), str(key), str(), int(count)) if "Storage" in kind and count >= 0:
                self.stack.append(TensorStorage(kind, key, count))
            case _:
                raise PickleRefusedError("it refers to something that is no storage of a tensor")

    def _newobj(self, _: Any) -> None:
        arguments, kind = self.stack.pop(), self.stack.pop()
        if not isinstance(kind, Name) or not self.is_class(kind.text) or arguments != ():
            raise PickleRefusedError("it makes an object with arguments")
        self.stack.append(Instance(kind.text))

    def _build(self, _: Any) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, Instance) and type(state) is dict and all(type(key) is str for key in state):
            target.state.update(state)
        elif isinstance(target, Ordered) and type(state) is dict and state.keys() <= {"_metadata"}:
            pass
        elif not (isinstance(target, Other) and target.kind == "numpy dtype" and type(state) is tuple):
            raise PickleRefusedError("it changes an object in a way that no checkpoint needs")

    def _reduce(self, _: Any) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, Name) or function.text not in FUNCTIONS or type(arguments) is not tuple:
            raise PickleRefusedError(f"it calls {_called(function)}")
        self.stack.append(self._called(function.text, arguments))

    def _called(self, function: str, arguments: tuple[Any, ...]) -> Any:
        if function == "collections OrderedDict" and arguments == ():
            return Ordered()
        if function in NAMESPACES and arguments == ():
            return Instance(function)
        if function == "torch._utils _rebuild_tensor_v2":
            return _tensor(arguments)
        if function == "torch._utils _rebuild_parameter" and isinstance(arguments[0], StoredTensor):
            return arguments[0]
        if function in GETATTR:
            return self._attribute(arguments)
        if function.endswith(" set"):
            function, arguments = "set", tuple(arguments[0]) if type(arguments[0]) is list else arguments
            if not all(isinstance(item, str | int) for item in arguments):
                raise PickleRefusedError("a set holds what is neither text nor a number")
            return list(arguments)
        if function in (*NAMESPACES, "collections OrderedDict", "torch._utils _rebuild_parameter"):
            raise PickleRefusedError(f"it calls {_called(Name(function))} in a way that PyTorch does not")
        return Other(function, arguments)

    def _attribute(self, arguments: tuple[Any, ...]) -> Method:
        owner, name = arguments
        is_forward = name in FORWARD and (
            isinstance(owner, Instance) or (isinstance(owner, Name) and self.is_class(owner.text))
        )
        is_member = owner == Name("torchvision.transforms.functional InterpolationMode") and (
            type(name) is str and name.isupper()
        )
        if not is_forward and not is_member:
            raise PickleRefusedError("it takes an attribute other than forward of a layer")
        return Method(owner, name)


_VALUES = frozenset(
    (
        "BININT",
        "BININT1",
        "BININT2",
        "LONG1",
        "BINFLOAT",
        "BINUNICODE",
        "SHORT_BINUNICODE",
        "SHORT_BINSTRING",
        "BINBYTES",
        "SHORT_BINBYTES",
    )
)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, type[Any]] = {"EMPTY_TUPLE": tuple, "EMPTY_LIST": list, "EMPTY_DICT": dict}


def is_torch_value(name: str) -> bool:
    """Whether the name is a type of numbers, `torch float16`, or of their storage, `torch HalfStorage`."""
    module, _, word = name.partition(" ")
    if module == "torch.storage":
        return word in ("UntypedStorage", "TypedStorage")
    return module == "torch" and word.isalnum() and (word.endswith("Storage") or word in _DTYPES)


_DTYPES = frozenset(
    (
        "float16",
        "bfloat16",
        "float32",
        "float64",
        "half",
        "float",
        "double",
        "uint8",
        "int8",
        "int16",
        "int32",
        "int64",
        "short",
        "int",
        "long",
        "bool",
    )
)


def _tensor(arguments: tuple[Any, ...]) -> StoredTensor:
    match arguments:
        case (TensorStorage() as storage, int(offset), tuple(size), tuple(stride), bool(), *_) if (
            offset >= 0 and len(size) == len(stride) and all(type(n) is int and n >= 0 for n in size)
        ):
            count = 1
            for n in size:
                count *= n
            if count > storage.count:
                raise PickleRefusedError("a tensor has more numbers than are stored")
            return StoredTensor(storage, size)
    raise PickleRefusedError("it puts a tensor together in a way that PyTorch does not")


def _called(function: object) -> str:
    return repr(function.text.replace(" ", ".")) if isinstance(function, Name) else "what is no function"
