"""What functions of a user's hold from call to call: counters in closures, globals, objects."""

import contextlib
import copy
import functools
from collections.abc import Callable, Collection, Iterator, Mapping
from types import FunctionType, MethodType
from typing import Any

import numpy as np
import torch

SIMPLE = (int, float, complex, str, bytes, type(None))
LIBRARIES = ("torch", "numpy", "keras", "builtins", "collections", "jax", "tensorflow")
HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_optimizer_step_pre_hooks",
    "_optimizer_step_post_hooks",
)
DEEPEST = 3  # calls of functions by functions

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
        self.seen: set[int] = set()
        for name, function in functions.items():
            self._of(name, function, 0)
        self.start = self.values()

    def values(self) -> dict[str, Any]:
        """Return copies of what is there."""
        return {path: copy.deepcopy(read()) for path, (read, _) in self.places.items()}

    def restore(self, values: dict[str, Any]) -> None:
        """Put back what `values` returned."""
        for path, value in values.items():
            self.places[path][1](copy.deepcopy(value))

    def counting(self, values: dict[str, Any]) -> list[str]:
        """Return the paths of what is another than at the start, but for floats, as of a loss."""
        return [p for p, value in values.items() if _counts(value) != _counts(self.start[p])]

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Within this context it may change; then it is as before."""
        before = self.values()
        try:
            yield
        finally:
            self.restore(before)

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
        elif isinstance(value, FunctionType):
            self._of_function(path, value, depth)
        elif _is_users(value):
            self._of_names(path, vars(value), vars(value), depth)
            self._of(path, vars(type(value)).get("__call__"), depth)

    def _of_function(self, path: str, function: FunctionType, depth: int) -> None:
        if function.__module__.partition(".")[0] in LIBRARIES:
            return
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
            try:
                value = cell.cell_contents
            except ValueError:  # not yet filled
                continue
            place = f"{path}.{name}"
            if _is_plain(value):
                self.places[place] = _of_cell(cell)
            else:
                self._of(place, value, depth + 1)
        self._of_names(path, function.__globals__, _names(function), depth)
        self._of_names(path, vars(function), vars(function), depth)

    def _of_names(
        self, path: str, holder: dict[str, Any], names: Collection[str], depth: int
    ) -> None:
        for name in [each for each in names if each in holder]:
            if _is_plain(holder[name]):
                self.places[f"{path}.{name}"] = _of_key(holder, name)
            else:
                self._of(f"{path}.{name}", holder[name], depth + 1)


def _names(function: FunctionType) -> set[str]:
    """Return the names of globals that a function, or one within it, uses."""
    found, left = set(), [function.__code__]
    while left:
        code = left.pop()
        found |= set(code.co_names)
        left += [each for each in code.co_consts if hasattr(each, "co_names")]
    return found


def _is_plain(value: Any) -> bool:
    """Whether a value can be copied and compared: numbers, text, and collections of these."""
    if isinstance(value, dict):
        return all(map(_is_plain, (*value.keys(), *value.values())))
    if isinstance(value, list | tuple | set):
        return all(map(_is_plain, value))
    return isinstance(value, SIMPLE)


def _counts(value: Any) -> Any:
    """Return a value without its floats; a list of floats is a record."""
    if isinstance(value, float):
        return None
    if isinstance(value, dict):
        return {key: _counts(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set):
        counts = [_counts(each) for each in value]
        return None if all(isinstance(each, float) for each in value) else counts
    return value


def _is_users(value: Any) -> bool:
    if isinstance(value, type | torch.nn.Module | torch.Tensor | np.ndarray):
        return False
    return hasattr(value, "__dict__") and type(value).__module__.partition(".")[0] not in LIBRARIES


def _of_cell(cell: Any) -> Place:
    def write(value: Any) -> None:
        if not _refilled(cell.cell_contents, value):
            cell.cell_contents = value

    return lambda: cell.cell_contents, write


def _of_key(holder: dict[str, Any], name: str) -> Place:
    def write(value: Any) -> None:
        if not _refilled(holder[name], value):
            holder[name] = value

    return lambda: holder[name], write


def _refilled(now: Any, value: Any) -> bool:
    """Give a collection other contents, as others may hold it, too; return whether it is one."""
    if type(now) is not type(value) or not isinstance(now, dict | list | set):
        return False
    if now != value:
        now.clear()
        now.extend(value) if isinstance(now, list) else now.update(value)
    return True


def hooks(module: torch.nn.Module, optimizer: Any) -> Iterator[tuple[str, Any]]:
    """Yield the hooks of a module, of its parts and of an optimizer, with a name for each."""
    holders = [(name or "model", part) for name, part in module.named_modules()]
    for name, holder in (*holders, ("optimizer", optimizer)):
        for kind in HOOKS:
            for index, hook in enumerate(getattr(holder, kind, {}).values()):
                yield f"{name}.{kind.strip('_')}.{index}", hook
