"""What a tuner's `optimizer`, `loss` and `metrics` do: they replace those of its models."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras

PARTS = (keras.optimizers.Optimizer, keras.losses.Loss, keras.metrics.Metric)


class Unmade(NamedTuple):
    """An optimizer, a loss or a metric that can be sent to a process and made there."""

    kind: Any  # a class with `from_config`
    config: Mapping[str, Any]

    def make(self) -> Any:
        """Return a new one."""
        return self.kind.from_config(dict(self.config))


class Replacements(NamedTuple):
    """What to compile models with instead of their own; None for their own."""

    optimizer: Any = None
    loss: Any = None
    metrics: Any = None


NONE = Replacements()


def replacements(optimizer: Any, loss: Any, metrics: Any) -> Replacements:
    """Return arguments of a tuner in a form that can be sent to another process."""
    return Replacements(*(_each(_unmake, part) for part in (optimizer, loss, metrics)))


def recompile(model: keras.Model, parts: Replacements) -> None:
    """Compile a model with the given parts, and its own where none is given."""
    if not any(parts):
        return
    optimizer, loss, metrics = (_each(_make, part) for part in parts)
    own = model._compile_metrics if model.compiled else None
    model.compile(
        optimizer=optimizer or model.optimizer,
        loss=loss or (model.loss if model.compiled else None),
        metrics=metrics or (own and own._user_metrics),
    )


def _each(change: Callable, part: Any) -> Any:
    if isinstance(part, Unmade):
        return change(part)
    if isinstance(part, Mapping):
        return {key: _each(change, value) for key, value in part.items()}
    if isinstance(part, (list, tuple)):
        return [_each(change, value) for value in part]
    return change(part)


def _unmake(part: Any) -> Any:
    return Unmade(type(part), part.get_config()) if isinstance(part, PARTS) else part


def _make(part: Any) -> Any:
    return part.make() if isinstance(part, Unmade) else part
