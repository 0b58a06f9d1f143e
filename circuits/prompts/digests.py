"""What a function of a project's own computes, as a digest: the file it is written in, and the values baked into it.

The same in every process: no address, no order of a set and no hash of a text plays a part.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import marshal
import re
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path, PurePath
from typing import Any

_DEEP = 6  # a function may hold itself

_PLAIN = (str, bytes, int, float, complex, bool, type(None))


def of_package(function: Any) -> bool:
    """Whether a function is this package's, whose code is part of every key."""
    return str(getattr(_plain(function), "__module__", "")).startswith("circuits.")


def file_of(function: Any) -> Path | None:
    """The file that a function is written in; None for what was typed at a prompt or has no code in Python."""
    code = getattr(_plain(function), "__code__", None)
    path = Path(code.co_filename) if code is not None else None
    return path if path is not None and path.is_file() else None


def code_digest_of(function: Any) -> str:
    """Digest of the bytes of a function's file; of its byte code where it has none."""
    plain = _plain(function)
    plain = getattr(plain, "__func__", plain)
    if hasattr(plain, "__code__"):
        return _read(plain)
    return _hex(f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', repr(function))}".encode())


@functools.cache
def _read(function: Any) -> str:
    """By the function, not by its file: one that was imported anew is read anew, an edit amid a run is not."""
    path = file_of(function)
    return _hex(path.read_bytes() if path is not None else marshal.dumps(function.__code__))


def _plain(function: Any) -> Any:
    """A function without its wrappers; of an object that can be called, its method."""
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function)
    return function if hasattr(function, "__code__") or hasattr(function, "__func__") else type(function).__call__


def baked(value: Any, deep: int = _DEEP) -> str:
    """What is baked into a function or an object: closure, defaults, arguments of a partial call, fields; "" for nothing.

    Functions among them count with their code, objects with their fields, ``deep`` levels down.
    """
    return "|".join(f"{name}={text_of(each, deep)}" for name, each in _held(value)) if deep else ""


def _held(value: Any) -> Iterator[tuple[str, Any]]:
    """Name and value of whatever a function or an object holds, in an order that is always the same."""
    if isinstance(value, functools.partial):
        yield from (("func", value.func), ("args", value.args), ("keywords", value.keywords))
        return
    if inspect.ismethod(value):
        yield from (("self", value.__self__), ("func", value.__func__))
        return
    if inspect.isbuiltin(value) and not inspect.ismodule(value.__self__):
        yield "self", value.__self__
        return
    if inspect.isfunction(value):
        for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
            try:
                yield name, cell.cell_contents
            except ValueError:  # nothing was put into it yet, or it was deleted
                yield name, "(empty)"
        given = {"defaults": value.__defaults__, "keywords": value.__kwdefaults__}
        yield from ((name, each) for name, each in given.items() if each)
    if not isinstance(value, type) and not inspect.ismodule(value):
        yield from sorted(_fields(value).items())


def _fields(value: Any) -> dict[str, Any]:
    """The fields of an object, those in slots included."""
    found = dict(getattr(value, "__dict__", {}))
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                found[name] = getattr(value, name)
    return found


def text_of(value: Any, deep: int = _DEEP) -> str:
    """A value as text that tells it from others: plain values, containers, arrays, patterns, functions and objects by their fields."""
    if isinstance(value, Enum):
        return f"{type(value).__qualname__}.{value.name}"
    if isinstance(value, PurePath):
        return repr(str(value))
    if isinstance(value, _PLAIN):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return f"[{','.join(text_of(each, deep) for each in value)}]"
    if isinstance(value, (set, frozenset)):
        return f"[{','.join(sorted(text_of(each, deep) for each in value))}]"
    if isinstance(value, Mapping):
        return f"[{','.join(f'{text_of(key, deep)}:{text_of(each, deep)}' for key, each in value.items())}]"
    if isinstance(value, re.Pattern):
        return f"{value.pattern!r}/{value.flags}"
    if hasattr(type(value), "__array__"):
        return _array_text(value, deep)
    name = getattr(value, "__qualname__", type(value).__qualname__)
    own = callable(value) and not isinstance(value, type) and not of_package(value)
    return f"{name}{':' + code_digest_of(value) if own else ''}({baked(value, deep - 1)})"


def _array_text(value: Any, deep: int) -> str:
    import numpy as np

    array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
    if array.dtype.hasobject:  # its bytes are addresses
        return text_of(array.tolist(), deep)
    return f"{array.dtype}{array.shape}{_hex(array.tobytes())}"


def _hex(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
