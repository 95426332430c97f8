"""Single changes to one side, and the proof that they explain a divergence.

A change is a guess at a cause: "the layer should have PyTorch's epsilon". It is proved if
making it, and nothing else, makes the divergence vanish.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from port_audit.findings import Finding


@dataclass(frozen=True)
class Change:
    """A change that would undo a cause.

    Attributes:
        where: What is changed.
        name: Short name of the cause.
        cause: The cause in a sentence.
        write: What to write in the port instead.
        apply: Returns a context within which the change holds.
    """

    where: str
    name: str
    cause: str
    write: str
    apply: Callable[[], AbstractContextManager]

    def finding(self, size: float, tolerance: float) -> Finding:
        """Return the change as a proved cause of a divergence."""
        return Finding(self.where, self.name, self.cause, self.write, size, tolerance)


def prove(
    changes: Sequence[Change], divergence: Callable[[], float], tolerance: float
) -> list[Change]:
    """Return the fewest changes that make a divergence vanish, or none if all together do not.

    Args:
        changes: Changes that can be made at once.
        divergence: Measures the divergence; not a number counts as one.
        tolerance: The largest divergence that counts as none.
    """

    def vanishes(some: Sequence[Change]) -> bool:
        with applied(some):
            return divergence() <= tolerance

    if not changes or not vanishes(changes):
        return []
    needed = list(changes)
    for change in changes:
        rest = [each for each in needed if each is not change]
        if vanishes(rest):
            needed = rest
    return needed


@contextlib.contextmanager
def applied(changes: Sequence[Change]) -> Iterator[None]:
    """Within this context all changes hold."""
    with contextlib.ExitStack() as stack:
        for change in changes:
            stack.enter_context(change.apply())
        yield


@contextlib.contextmanager
def attributes(target: Any, **values: Any) -> Iterator[None]:
    """Within this context the attributes of an object have other values.

    They are set past Keras's bookkeeping, which would lock or track them.
    """
    missing = object()
    old = {name: target.__dict__.get(name, missing) for name in values}
    for name, value in values.items():
        object.__setattr__(target, name, value)
    try:
        yield
    finally:
        for name, value in old.items():
            if value is missing:
                object.__delattr__(target, name)
            else:
                object.__setattr__(target, name, value)


def setting(target: Any, **values: Any) -> Callable[[], AbstractContextManager]:
    """Return what makes `attributes` hold, as a change wants it."""
    return lambda: attributes(target, **values)


def ahead_of(layer: Any, function: Callable) -> Callable[[], AbstractContextManager]:
    """Return what puts a function ahead of a layer, within `KerasNet.watched`."""

    def apply() -> AbstractContextManager:
        old = layer.__dict__.get("audited_before")
        return attributes(
            layer, audited_before=function if old is None else lambda x: function(old(x))
        )

    return apply


def behind(layer: Any, function: Callable) -> Callable[[], AbstractContextManager]:
    """Return what puts a function behind a layer, within `KerasNet.watched`."""
    return setting(layer, audited_behind=function)


def calling(layer: Any, wrap: Callable, **others: Any) -> Callable[[], AbstractContextManager]:
    """Return what lets `wrap(own_call, inputs, args, kwargs)` stand in for a layer's call."""

    def apply() -> AbstractContextManager:
        own = layer.call

        def call(inputs: Any, *args: Any, **kwargs: Any) -> Any:
            return wrap(own, inputs, args, kwargs)

        return attributes(layer, call=call, **others)

    return apply
