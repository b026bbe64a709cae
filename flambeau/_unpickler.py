"""A reader of pickles that runs nothing: opcodes build plain data, and call only what is allowed.

The standard unpickler is no base for this: its BUILD writes into any object, its memo can be made
to take any amount of memory, and deep keys overflow its stack.
"""

import enum
import pickle
import struct

from ._private import is_own

_KEYS = (str, bytes, int, float, bool, type(None), complex)
_MAX_KEY_DEPTH = 8
_MALFORMED = (KeyError, ValueError, TypeError, AttributeError, OverflowError, MemoryError)


class Unpickler:
    """Reads one pickle from bytes.

    `find(module, name)` gives the object behind a name and whether it may be called; `persistent`
    gives the object behind a persistent id; `build(object, state)` sets state. `encoding` is that
    of the strings of Python 2, or "bytes" to leave them so.
    """

    def __init__(self, data, find, persistent, build, at=0, encoding="utf-8"):
        self._encoding = encoding
        self._data = data
        self._at = at
        self._find = find
        self._persistent = persistent
        self._build = build
        self._callable = {}  # id -> object: what REDUCE and NEWOBJ may call
        self._memo = {}
        self._stack = []
        self._marks = []

    def load(self):
        """The object. UnpicklingError if the data is not a pickle of what is allowed."""
        data, opcodes = self._data, _OPCODES
        try:
            while True:
                opcode = data[self._at]
                self._at += 1
                if opcode == 0x2E:  # STOP
                    (value,) = self._stack
                    if self._marks:
                        raise pickle.UnpicklingError("the pickle ends within a mark")
                    return value
                handler = opcodes.get(opcode)
                if handler is None:
                    raise pickle.UnpicklingError(f"opcode {bytes([opcode])!r} is not allowed")
                handler(self)
        except (IndexError, struct.error) as error:
            raise pickle.UnpicklingError("the pickle is cut short or not well formed") from error
        except _MALFORMED as error:
            raise pickle.UnpicklingError(f"the pickle is not well formed: {error}") from error

    @property
    def position(self):
        """Where the pickle ended."""
        return self._at

    # -- bytes ---------------------------------------------------------------------------------
    def _take(self, size):
        end = self._at + size
        if size < 0 or end > len(self._data):
            raise pickle.UnpicklingError("the pickle is cut short")
        piece = self._data[self._at : end]
        self._at = end
        return piece

    def _number(self, layout):
        return layout.unpack(self._take(layout.size))[0]

    def _line(self):
        end = self._data.find(b"\n", self._at, self._at + 4096)
        if end < 0:
            raise pickle.UnpicklingError("a name in the pickle does not end")
        return self._take(end + 1 - self._at)[:-1].decode()

    def _old_string(self, layout):
        data = self._take(self._number(layout))
        self._push(data if self._encoding == "bytes" else data.decode(self._encoding))

    # -- the stack -------------------------------------------------------------------------------
    def _push(self, value):
        self._stack.append(value)

    def _top(self, kinds, what):
        value = self._stack[-1]
        if not isinstance(value, kinds):
            raise pickle.UnpicklingError(f"{what} on an object of type {type(value).__name__}")
        return value

    def _pop_mark(self):
        items = self._stack
        self._stack = self._marks.pop()
        return items

    def _mark(self):
        self._marks.append(self._stack)
        self._stack = []

    def _pop(self):
        if self._stack:
            self._stack.pop()
        else:
            self._pop_mark()

    def _append(self):
        value = self._stack.pop()
        self._top(list, "APPEND").append(value)

    def _appends(self):
        items = self._pop_mark()
        self._top(list, "APPENDS").extend(items)

    def _add_items(self):
        items = self._pop_mark()
        for item in items:
            check_key(item)
        self._top(set, "ADDITEMS").update(items)

    def _set_items(self, items):
        if len(items) % 2:
            raise pickle.UnpicklingError("SETITEMS with a key that has no value")
        target = self._top(dict, "SETITEMS")
        for key, value in zip(items[::2], items[1::2]):
            check_key(key)
            target[key] = value

    def _set_item(self):
        value, key = self._stack.pop(), self._stack.pop()
        self._set_items([key, value])

    def _dict(self):
        items = self._pop_mark()
        self._push({})
        self._set_items(items)

    def _frozenset(self):
        items = self._pop_mark()
        for item in items:
            check_key(item)
        self._push(frozenset(items))

    def _tuple(self, count):
        if len(self._stack) < count:
            raise pickle.UnpicklingError("a tuple of more than there is")
        items = tuple(self._stack[-count:])
        del self._stack[-count:]
        self._push(items)

    # -- names and calls -------------------------------------------------------------------------
    def _global(self, module, name):
        if not isinstance(module, str) or not isinstance(name, str):
            raise pickle.UnpicklingError("a global whose name is no string")
        value, callable_ = self._find(module, name)
        if callable_:
            self._callable[id(value)] = value
        self._push(value)

    def _stack_global(self):
        name, module = self._stack.pop(), self._stack.pop()
        self._global(module, name)

    def _checked(self, function):
        if self._callable.get(id(function)) is not function:
            raise pickle.UnpicklingError(f"the pickle calls {function!r:.80}, which is not allowed")
        return function

    def _reduce(self):
        args, function = self._stack.pop(), self._stack.pop()
        if isinstance(function, enum.EnumMeta):  # TorchScript gives the value alone
            args = args if isinstance(args, tuple) else (args,)
        if not isinstance(args, tuple):
            raise pickle.UnpicklingError("REDUCE without a tuple of arguments")
        self._push(self._checked(function)(*args))

    def _new_object(self, keywords=False):
        kwargs = self._stack.pop() if keywords else {}
        args, cls = self._stack.pop(), self._stack.pop()
        if not isinstance(self._checked(cls), type) or not isinstance(args, tuple):
            raise pickle.UnpicklingError("NEWOBJ of something that is no class")
        self._push(cls.__new__(cls, *args, **kwargs))

    def _build_object(self):
        state = self._stack.pop()
        self._build(self._stack[-1], state)

    def _persistent_id(self):
        self._push(self._persistent(self._stack.pop()))

    def _remember(self, index):
        self._memo[index] = self._stack[-1]

    def _protocol(self):
        version = self._take(1)[0]
        if version > 5:
            raise pickle.UnpicklingError(f"unsupported pickle protocol: {version}")


def check_key(key, depth=0):
    """Hashing must run no code and not run deep."""
    if isinstance(key, (tuple, frozenset)):
        if depth == _MAX_KEY_DEPTH:
            raise pickle.UnpicklingError("a key nested too deep")
        for part in key:
            check_key(part, depth + 1)
    elif not isinstance(key, _KEYS) and not is_own(type(key)):
        raise pickle.UnpicklingError(f"a key of type {type(key).__name__}")


def _opcodes():
    u8, u16, u32, u64 = (struct.Struct(f"<{letter}") for letter in "BHIQ")
    i32, f64 = struct.Struct("<i"), struct.Struct(">d")
    U = Unpickler

    def sized(layout, make):
        return lambda u: u._push(make(u._take(u._number(layout))))

    def text(data):
        return data.decode("utf-8", "surrogatepass")

    def integer(data):
        return int.from_bytes(data, "little", signed=True)

    table = {
        b"\x80": U._protocol,
        b"\x95": lambda u: u._number(u64),  # FRAME: only says how long
        b"(": U._mark,
        b"0": U._pop,
        b"1": lambda u: u._pop_mark() and None,
        b"2": lambda u: u._push(u._stack[-1]),
        b"N": lambda u: u._push(None),
        b"\x88": lambda u: u._push(True),
        b"\x89": lambda u: u._push(False),
        b"J": lambda u: u._push(u._number(i32)),
        b"K": lambda u: u._push(u._number(u8)),
        b"M": lambda u: u._push(u._number(u16)),
        b"\x8a": sized(u8, integer),
        b"\x8b": sized(i32, integer),
        b"G": lambda u: u._push(u._number(f64)),
        b"X": sized(u32, text),
        b"\x8c": sized(u8, text),
        b"\x8d": sized(u64, text),
        b"T": lambda u: u._old_string(i32),
        b"U": lambda u: u._old_string(u8),
        b"B": sized(u32, bytes),
        b"C": sized(u8, bytes),
        b"\x8e": sized(u64, bytes),
        b"\x96": sized(u64, bytearray),
        b"]": lambda u: u._push([]),
        b"}": lambda u: u._push({}),
        b")": lambda u: u._push(()),
        b"\x8f": lambda u: u._push(set()),
        b"a": U._append,
        b"e": U._appends,
        b"l": lambda u: u._push(u._pop_mark()),
        b"s": U._set_item,
        b"u": lambda u: u._set_items(u._pop_mark()),
        b"d": U._dict,
        b"\x90": U._add_items,
        b"\x91": U._frozenset,
        b"t": lambda u: u._push(tuple(u._pop_mark())),
        b"\x85": lambda u: u._tuple(1),
        b"\x86": lambda u: u._tuple(2),
        b"\x87": lambda u: u._tuple(3),
        b"c": lambda u: u._global(u._line(), u._line()),
        b"\x93": U._stack_global,
        b"R": U._reduce,
        b"\x81": lambda u: u._new_object(),
        b"\x92": lambda u: u._new_object(keywords=True),
        b"b": U._build_object,
        b"Q": U._persistent_id,
        b"q": lambda u: u._remember(u._number(u8)),
        b"r": lambda u: u._remember(u._number(u32)),
        b"\x94": lambda u: u._remember(len(u._memo)),
        b"h": lambda u: u._push(u._memo[u._number(u8)]),
        b"j": lambda u: u._push(u._memo[u._number(u32)]),
    }
    return {opcode[0]: handler for opcode, handler in table.items()}


_OPCODES = _opcodes()
