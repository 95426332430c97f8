"""What functions of a user's hold from call to call: counters in closures, globals, objects."""

import ast
import contextlib
import copy
import dis
import functools
import itertools
import random
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from types import BuiltinMethodType, FunctionType, MethodType
from typing import Any

import numpy as np
import torch

SIMPLE = (int, float, complex, str, bytes, type(None))
COLLECTIONS = (dict, list, tuple, set, deque)
LIBRARIES = ("torch", "numpy", "keras", "builtins", "collections", "jax", "tensorflow")
REPORTING = ("logging", "tqdm")  # what they count changes no training
GENERATORS = (random.Random, np.random.Generator, np.random.RandomState)
MOST = 4096  # numbers of a tensor that is looked at
NESTED = 8  # collections within collections
MISSING = object()  # stands where nothing is yet, or no longer
HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_optimizer_step_pre_hooks",
    "_optimizer_step_post_hooks",
)
DEEPEST = 3  # calls of functions by functions

OF_MODULES = frozenset(vars(torch.nn.Module()))  # what each module has

# Reads, writes.
Place = tuple[Callable[[], Any], Callable[[Any], None]]


class Held:
    """The places where some functions may keep something, by their paths."""

    def __init__(self, functions: Mapping[str, Any]):
        """Look for them.

        Args:
            functions: Functions by the name that a reader knows them by; None for none.
        """
        self.places: dict[str, Place] = {}
        # Where names may be added to those that are there.
        self.growing: list[tuple[str, dict[str, Any], set[str]]] = []
        self.generators: dict[str, Any] = {}  # of random numbers
        self.seen: set[int] = set()
        for name, function in functions.items():
            self._of(name, function, 0)
        self.first: dict[str, Any] = {}  # what was seen first at each place
        self.start = self.values()

    def values(self) -> dict[str, Any]:
        """Return copies of what is there."""
        self._grow()
        found = {path: _copied(read()) for path, (read, _) in self.places.items()}
        for path, value in found.items():
            if value is not MISSING:
                self.first.setdefault(path, value)
        return found

    def restore(self, values: dict[str, Any]) -> None:
        """Put back what `values` returned."""
        self._grow()
        for path, (_, write) in self.places.items():
            write(_copied(values.get(path, MISSING)))

    def counting(self, values: dict[str, Any]) -> list[str]:
        """Return the paths of what is another than at first, but for floats, as of a loss.

        What a function makes when it is called is compared with what it made first.
        """
        return [p for p, first in self.first.items() if _counts(values.get(p)) != _counts(first)]

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Within this context it may change; then it is as before."""
        before = self.values()
        try:
            yield
        finally:
            self.restore(before)

    def _grow(self) -> None:
        for path, holder, known in self.growing:
            for name in [each for each in holder if each not in known]:
                known.add(name)
                self._add(f"{path}.{name}", _of_key(holder, name))

    def _add(self, path: str, place: Place) -> None:
        while path in self.places:  # a global and an attribute of one name
            path += "'"
        self.places[path] = place

    def _of(self, path: str, value: Any, depth: int) -> None:
        if id(value) in self.seen or depth > DEEPEST:
            return
        self.seen.add(id(value))
        if isinstance(value, functools.partial):
            for index, part in enumerate((value.func, *value.args, *value.keywords.values())):
                self._of(f"{path}.{index}", part, depth)
        elif isinstance(value, MethodType):
            self._of(path, value.__self__, depth)
            self._of(path, value.__func__, depth)
        elif isinstance(value, BuiltinMethodType):
            self._of(path, value.__self__, depth)
        elif isinstance(value, FunctionType):
            self._of_function(path, value, depth)
        elif isinstance(value, GENERATORS):
            self.generators[path] = value
        elif isinstance(value, type):
            self._of_class(path, value, depth)
        elif isinstance(value, torch.nn.Module):
            for name, part in value.named_modules():
                if _is_users(type(part)):
                    own = f"{path}.{name}".rstrip(".")
                    self._of_all(own, vars(part), depth, OF_MODULES)
                    self._of(f"{own}.{type(part).__name__}", type(part), depth)
        elif _is_users(type(value)) and not isinstance(value, torch.Tensor | np.ndarray):
            self._of_object(path, value, depth)

    def _of_function(self, path: str, function: FunctionType, depth: int) -> None:
        if (function.__module__ or "").partition(".")[0] in (*LIBRARIES, *REPORTING):
            return
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
            place = _of_cell(cell)
            self._of_place(f"{path}.{name}", place, depth)
        self._of_names(path, function.__globals__, _names(function), depth)
        self._of_all(path, vars(function), depth)

    def _of_object(self, path: str, value: Any, depth: int) -> None:
        own = getattr(value, "__dict__", None)
        if isinstance(own, dict):
            self._of_all(path, own, depth)
        for cls in type(value).__mro__:
            slots = vars(cls).get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                if not name.startswith("__"):
                    self._of_place(f"{path}.{name}", _of_attribute(value, name), depth)
        self._of(f"{path}.{type(value).__name__}", type(value), depth)

    def _of_class(self, path: str, whole: type, depth: int) -> None:
        for cls in filter(_is_users, whole.__mro__):
            for name, value in list(vars(cls).items()):
                if isinstance(value, FunctionType):
                    self._of(path, value, depth)
                elif not name.startswith("__") and _is_plain(value):
                    self._of_place(f"{path}.{name}", _of_attribute(cls, name), depth)

    def _of_all(
        self, path: str, holder: dict[str, Any], depth: int, known: frozenset[str] = frozenset()
    ) -> None:
        names = [name for name in holder if name not in known]
        self._of_names(path, holder, names, depth)
        self.growing.append((path, holder, {*known, *names}))

    def _of_names(
        self, path: str, holder: dict[str, Any], names: Collection[str], depth: int
    ) -> None:
        for name in names:
            self._of_place(f"{path}.{name}", _of_key(holder, name), depth)

    def _of_place(self, path: str, place: Place, depth: int) -> None:
        value = place[0]()
        if value is MISSING or _is_plain(value):
            self._add(path, place)
        else:
            self._of(path, value, depth + 1)


def _names(function: FunctionType) -> set[str]:
    """Return the names of globals that a function, or one within it, uses or makes."""
    found, left = set(), [function.__code__]
    while left:
        code = left.pop()
        found |= {name for name in code.co_names if name in function.__globals__}
        made = (each for each in dis.get_instructions(code) if each.opname == "STORE_GLOBAL")
        found |= {each.argval for each in made}
        left += [each for each in code.co_consts if hasattr(each, "co_names")]
    return found


def _is_plain(value: Any, depth: int = 0) -> bool:
    """Whether a value can be copied and compared: numbers, text, and collections of these."""
    if isinstance(value, dict):
        return depth < NESTED and all(
            _is_plain(each, depth + 1) for each in (*value.keys(), *value.values())
        )
    if isinstance(value, COLLECTIONS):
        return depth < NESTED and all(_is_plain(each, depth + 1) for each in value)
    if isinstance(value, torch.Tensor):
        return not value.requires_grad and value.numel() <= MOST
    if isinstance(value, np.ndarray):
        return value.dtype != object and value.size <= MOST
    return isinstance(value, (*SIMPLE, itertools.count))


def _copied(value: Any, depth: int = 0) -> Any:
    """Return a copy; what is neither a number nor a collection, or is in a graph, stays itself."""
    if isinstance(value, torch.Tensor):
        return value if value.requires_grad else value.clone()
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, itertools.count):
        return itertools.count(*_of_count(value))
    if not isinstance(value, COLLECTIONS) or depth >= NESTED:
        return value
    if isinstance(value, dict):
        made: Any = copy.copy(value)
        for key, each in value.items():
            made[key] = _copied(each, depth + 1)
        return made
    if isinstance(value, list | deque):
        made = copy.copy(value)
        made.clear()
        made.extend(_copied(each, depth + 1) for each in value)
        return made
    if type(value) is tuple:
        return tuple(_copied(each, depth + 1) for each in value)
    return copy.copy(value)  # a set, or a tuple with names


def _counts(value: Any, depth: int = 0) -> Any:
    """Return a value without its floats; a list of floats is a record."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        return None if value.is_floating_point() else value.tolist()
    if isinstance(value, np.ndarray):
        return None if value.dtype.kind == "f" else value.tolist()
    if isinstance(value, float | np.floating) or depth >= NESTED:
        return None
    if isinstance(value, dict):
        counted = {key: _counts(each, depth + 1) for key, each in value.items()}
        return {key: each for key, each in counted.items() if each is not None}
    if isinstance(value, itertools.count):
        return _of_count(value)
    if isinstance(value, set):
        return value
    if isinstance(value, COLLECTIONS):
        counts = [_counts(each, depth + 1) for each in value]
        return None if all(each is None for each in counts) else counts
    return value if isinstance(value, SIMPLE) else None


def _of_count(counter: itertools.count) -> tuple[Any, ...]:
    """Return the next number of a counter and its step, if that is not 1."""
    return ast.literal_eval(repr(counter).removeprefix("count").replace(")", ",)"))


def _is_users(cls: type) -> bool:
    return str(cls.__module__).partition(".")[0] not in (*LIBRARIES, *REPORTING)


def _place(read: Callable[[], Any], write: Callable[[Any], None], drop: Callable) -> Place:
    """Return a place; collections in it get other contents, as others may hold them, too."""

    def write_over(value: Any) -> None:
        now = read()
        if value is MISSING:
            if now is not MISSING:
                drop()
        elif not _refilled(now, value) and not _same(now, value):
            write(value)

    return read, write_over


def _of_cell(cell: Any) -> Place:
    def read() -> Any:
        try:
            return cell.cell_contents
        except ValueError:  # not yet filled
            return MISSING

    def write(value: Any) -> None:
        cell.cell_contents = value

    def drop() -> None:
        del cell.cell_contents

    return _place(read, write, drop)


def _of_key(holder: dict[str, Any], name: str) -> Place:
    return _place(
        lambda: holder.get(name, MISSING),
        lambda value: holder.update({name: value}),
        lambda: holder.pop(name),
    )


def _of_attribute(owner: Any, name: str) -> Place:
    return _place(
        lambda: getattr(owner, name, MISSING),
        lambda value: setattr(owner, name, value),
        lambda: delattr(owner, name),
    )


def _same(one: Any, other: Any) -> bool:
    return one is other or (
        isinstance(one, SIMPLE) and type(one) is type(other) and bool(one == other)
    )


def _refilled(now: Any, value: Any) -> bool:
    """Give a collection other contents; return whether it is one that can be."""
    if type(now) is not type(value) or not isinstance(now, dict | list | set | deque):
        return False
    now.clear()
    now.extend(value) if isinstance(now, list | deque) else now.update(value)
    return True


def hooks(module: torch.nn.Module, optimizer: Any) -> Iterator[tuple[str, Any]]:
    """Yield the hooks of a module, of its parts and of an optimizer, with a name for each."""
    holders = [(name or "model", part) for name, part in module.named_modules()]
    for name, holder in (*holders, ("optimizer", optimizer)):
        for kind in HOOKS:
            for index, hook in enumerate(getattr(holder, kind, {}).values()):
                yield f"{name}.{kind.strip('_')}.{index}", hook
