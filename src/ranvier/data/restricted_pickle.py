"""Pickles as data: a reader of the opcodes that plain values and tensors need, and a writer of them.

The reader is no part of Python's pickle module. It builds lists, dicts, sets, tuples, numbers and texts, and calls
nothing but the functions of a table that its caller gives. A name that is not in the table ends it with an error.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

PLAIN = (str, int, float, bool, type(None))
_MARK = object()


class PickleError(ValueError):
    """A pickle that is damaged, or asks for what is not in the table."""


class Known(NamedTuple):
    """A class or a function that a name stands for. ``call`` makes a value of the pickle's arguments, ``kind`` says
    which class it is.
    """

    name: str
    call: Callable[..., Any] | None = None
    kind: str = ""


class PickleReader:
    """Reads one pickle from ``data``, beginning at ``position``, which is afterwards that of the byte behind it.

    ``known`` are the names that it may ask for. ``persistent`` is given the tuples that stand for what is outside the
    pickle.
    """

    def __init__(
        self,
        data: bytes | memoryview,
        known: Mapping[str, Known | str],
        persistent: Callable[[Any], Any],
        position: int = 0,
    ) -> None:
        self.data = memoryview(data)
        self.known = known
        self.persistent = persistent
        self.position = position
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def read(self) -> Any:
        """The value of the pickle. Raises PickleError for anything else."""
        while True:
            code = self.take(1)[0]
            if code == ord("."):
                return self.pop()
            step = STEPS.get(code)
            if step is None:
                raise PickleError(f"the opcode {bytes([code])!r} is in no file of tensors")
            step(self)

    def take(self, count: int) -> memoryview:
        end = self.position + count
        if count < 0 or end > len(self.data):
            raise PickleError("it ends too early")
        part = self.data[self.position : end]
        self.position = end
        return part

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self) -> str:
        end = self.position
        while end < len(self.data) and self.data[end] != 10:
            end += 1
        text = bytes(self.take(end - self.position))
        self.take(1)
        return text.decode("ascii", "backslashreplace")

    def text(self, form: str) -> str:
        try:
            return str(bytes(self.take(self.number(form))), "utf-8", "surrogatepass")
        except UnicodeDecodeError:
            raise PickleError("a text is no UTF-8") from None

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise PickleError("a value is missing")
        return self.stack.pop()

    def top(self) -> Any:
        self.push(self.pop())
        return self.stack[-1]

    def since_mark(self) -> list[Any]:
        values: list[Any] = []
        while self.stack:
            value = self.stack.pop()
            if value is _MARK:
                return values[::-1]
            values.append(value)
        raise PickleError("a mark is missing")

    def tuple_of(self, count: int) -> None:
        values = [self.pop() for _ in range(count)]
        self.push(tuple(values[::-1]))

    def recall(self, number: int) -> None:
        if number not in self.memo:
            raise PickleError(f"value {number} of the memo is missing")
        self.push(self.memo[number])

    def look_up(self, module: str, name: str) -> None:
        title = f"{module}.{name}"
        if title not in self.known:
            raise PickleError(f"it asks for {title[:200]!r}, which is no tensor and no plain value")
        self.push(self.known[title])

    def look_up_stacked(self) -> None:
        name, module = self.pop(), self.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise PickleError("a name is no text")
        self.look_up(module, name)

    def reduce(self) -> None:
        arguments, function = self.pop(), self.pop()
        if type(arguments) is not tuple or not isinstance(function, Known) or function.call is None:
            raise PickleError("it calls what is no function")
        self.push(function.call(*arguments))

    def build(self) -> None:
        """The state of an object: a state dict's versions of modules, which no weight depends on."""
        self.pop()
        if type(self.top()) is not OrderedDict:
            raise PickleError(f"it sets the state of a {type(self.top()).__name__}")

    def extend(self, values: list[Any]) -> None:
        if type(self.top()) is not list:
            raise PickleError("it appends to what is no list")
        self.stack[-1].extend(map(held, values))

    def update(self, values: list[Any]) -> None:
        if not isinstance(self.top(), dict) or len(values) % 2:
            raise PickleError("it sets an entry of what is no dict")
        for key, value in zip(values[::2], values[1::2], strict=True):
            self.stack[-1][hashable(key)] = held(value)

    def add(self, values: list[Any]) -> None:
        if type(self.top()) is not set:
            raise PickleError("it adds to what is no set")
        self.stack[-1].update(map(hashable, values))


def held(value: Any) -> Any:
    """A value that a container may hold. Raises PickleError for a class or a function."""
    for part in value if type(value) is tuple else (value,):
        if isinstance(part, Known):
            raise PickleError(f"it holds {part.name} itself")
    return value


def hashable(key: Any) -> Any:
    """A key, if it is plain, or a tuple of plain values: deeper ones could exhaust the stack of the interpreter."""
    if isinstance(key, PLAIN) or (type(key) is tuple and all(isinstance(part, PLAIN) for part in key)):
        return key
    raise PickleError(f"a {type(key).__name__} is a key")


def _global(reader: PickleReader) -> None:
    module = reader.line()
    reader.look_up(module, reader.line())


def _long(reader: PickleReader, form: str) -> None:
    reader.push(int.from_bytes(reader.take(reader.number(form)), "little", signed=True))


STEPS: dict[int, Callable[[PickleReader], Any]] = {
    ord(code): step
    for code, step in {
        "\x80": lambda r: r.take(1),  # PROTO
        "\x95": lambda r: r.take(8),  # FRAME
        "(": lambda r: r.push(_MARK),
        "0": PickleReader.pop,
        "N": lambda r: r.push(None),
        "\x88": lambda r: r.push(True),
        "\x89": lambda r: r.push(False),
        "J": lambda r: r.push(r.number("<i")),
        "K": lambda r: r.push(r.number("<B")),
        "M": lambda r: r.push(r.number("<H")),
        "\x8a": lambda r: _long(r, "<B"),
        "\x8b": lambda r: _long(r, "<i"),
        "G": lambda r: r.push(r.number(">d")),
        "X": lambda r: r.push(r.text("<I")),
        "\x8c": lambda r: r.push(r.text("<B")),
        "\x8d": lambda r: r.push(r.text("<Q")),
        ")": lambda r: r.push(()),
        "t": lambda r: r.push(tuple(r.since_mark())),
        "\x85": lambda r: r.tuple_of(1),
        "\x86": lambda r: r.tuple_of(2),
        "\x87": lambda r: r.tuple_of(3),
        "]": lambda r: r.push([]),
        "}": lambda r: r.push({}),
        "\x8f": lambda r: r.push(set()),
        "a": lambda r: r.extend([r.pop()]),
        "e": lambda r: r.extend(r.since_mark()),
        "s": lambda r: r.update([r.pop(), r.pop()][::-1]),
        "u": lambda r: r.update(r.since_mark()),
        "\x90": lambda r: r.add(r.since_mark()),
        "q": lambda r: r.memo.__setitem__(r.number("<B"), r.top()),
        "r": lambda r: r.memo.__setitem__(r.number("<I"), r.top()),
        "\x94": lambda r: r.memo.__setitem__(len(r.memo), r.top()),
        "h": lambda r: r.recall(r.number("<B")),
        "j": lambda r: r.recall(r.number("<I")),
        "c": _global,
        "\x93": PickleReader.look_up_stacked,
        "R": PickleReader.reduce,
        "b": PickleReader.build,
        "Q": lambda r: r.push(r.persistent(r.pop())),
    }.items()
}


# --- writing ------------------------------------------------------------------------------------------------------


def name(module: str, attribute: str) -> bytes:
    """The opcode of a global name."""
    return f"c{module}\n{attribute}\n".encode()


def call(function: bytes, *arguments: bytes) -> bytes:
    """The opcodes of a call."""
    return function + b"(" + b"".join(arguments) + b"tR"


def dumps(value: Any, leaf: Callable[[Any, str], bytes | None]) -> bytes:
    """A pickle of the second protocol. ``leaf`` gives the opcodes of values that are neither plain nor containers.

    It is given the value and its place, such as ``['a'][0]``, and raises an error for what cannot be written.
    """
    return b"\x80\x02" + b"".join(_parts(value, "", leaf)) + b"."


def plain(value: Any) -> bytes:
    """The opcodes of a text, a number or None."""
    if value is None:
        return b"N"
    if isinstance(value, bool):
        return b"\x88" if value else b"\x89"
    if isinstance(value, int):
        if -(2**31) <= value < 2**31:
            return b"J" + struct.pack("<i", value)
        size = value.bit_length() // 8 + 1
        return b"\x8a" + bytes([size]) + int(value).to_bytes(size, "little", signed=True)
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    encoded = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def _parts(value: Any, path: str, leaf: Callable[[Any, str], bytes | None]) -> Iterator[bytes]:
    held = leaf(value, path)
    if held is not None:
        yield held
    elif isinstance(value, Mapping):
        yield call(name("collections", "OrderedDict")) if isinstance(value, OrderedDict) else b"}"
        yield b"("
        for key, part in value.items():
            if not isinstance(key, (str, int)):
                raise TypeError(f"the key {key!r}{f' at {path}' if path else ''} is neither text nor a whole number.")
            yield plain(key)
            yield from _parts(part, f"{path}[{key!r}]", leaf)
        yield b"u"
    else:
        yield b"(" if isinstance(value, tuple) else b"]("
        for i, part in enumerate(value):
            yield from _parts(part, f"{path}[{i}]", leaf)
        yield b"t" if isinstance(value, tuple) else b"e"
