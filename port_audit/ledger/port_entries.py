"""What the Keras side sets: layers, optimizer, schedule, loss, compile, callbacks, fit."""

import inspect
import itertools
from collections.abc import Iterator
from typing import Any

import keras

from port_audit.ledger import neutral
from port_audit.ledger.entries import NEUTRAL, PORT, Entry, shown

# Methods of a model that decide how it trains, and the stage that can settle them.
METHODS = {
    "train_step": "witness",
    "compute_loss": "loss",
    "fit": "witness",
    "make_train_function": "witness",
    "train_on_batch": "witness",
    "test_step": "evaluation",
    "compute_metrics": "evaluation",
}
# They change no weight and no rate. When training ends is outside of an audit.
HARMLESS = (
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.EarlyStopping,
    keras.callbacks.TensorBoard,
    keras.callbacks.CSVLogger,
    keras.callbacks.TerminateOnNaN,
    keras.callbacks.History,
    keras.callbacks.ProgbarLogger,
)


def of(model: keras.Model, side: Any) -> Iterator[Entry]:
    """Return all settings of the port.

    Args:
        model: Its model.
        side: The side of the audit.
    """
    yield from _methods(model)
    layers = model._flatten_layers(include_self=False)
    whole = keras.layers.LSTM, keras.layers.GRU, keras.layers.SimpleRNN
    cells = {id(layer.cell) for layer in layers if isinstance(layer, whole)}  # set by the layer
    for layer in layers:
        if id(layer) not in cells:
            yield from _layer(layer)
    if getattr(model, "compiled", False):
        yield from _compiled(model)
    yield from _fit(side)


def _methods(model: keras.Model) -> Iterator[Entry]:
    for name, stage in METHODS.items():
        for cls in type(model).__mro__:
            if name in vars(cls) and not _stock(cls):
                yield Entry(PORT, f"model.{name}", f"own, of {cls.__name__}", stage)
                break


def _layer(layer: keras.layers.Layer) -> Iterator[Entry]:
    holder = f"layers.{layer.name}"
    if isinstance(layer, keras.layers.InputLayer):
        return
    parts = layer._flatten_layers(include_self=False)
    config = _config(layer)
    if parts and _has_layers(config):
        config = {"trainable": True, "dtype": config.get("dtype")}  # the parts are entries
    config = {"dtype": "float32"} | config
    # A layer of the user's may do anything while it trains.
    for key, value in config.items():
        stage = neutral.stage_of(key)
        if key == "trainable":
            value = layer.trainable
            if not layer.weights or parts:
                continue  # its variables are entries, or there are none
            stage = "layers"
        yield _entry(holder, key, value, stage, config, _default(layer, key))
    for variable, kind in itertools.product(layer._trainable_variables, neutral.PENALTIES):
        made = getattr(variable, kind.strip("_"), None)
        said = any(key.endswith(kind) and value is not None for key, value in config.items())
        if made is not None and not said:
            yield Entry(PORT, f"{holder}.{variable.name}{kind}", type(made).__name__, "steps")


def _compiled(model: keras.Model) -> Iterator[Entry]:
    config = model.get_compile_config() or {}
    for key in ("loss_weights", "weighted_metrics", "run_eagerly", "steps_per_execution"):
        yield _entry("compile", key, config.get(key), "loss", config)
    yield from _optimizer(model.optimizer, "optimizer")
    for name, loss in _losses(model.loss):
        yield from _loss(loss, name)


def _optimizer(optimizer: keras.optimizers.Optimizer, holder: str) -> Iterator[Entry]:
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        yield Entry(PORT, f"{holder}.class", "LossScaleOptimizer", "steps")
        yield from _optimizer(optimizer.inner_optimizer, holder)
        return
    config = _config(optimizer)
    yield Entry(PORT, f"{holder}.class", type(optimizer).__name__, "steps")
    for key, value in config.items():
        stage = "schedule" if key == "learning_rate" or "clip" in key else "steps"
        if key == "learning_rate" and isinstance(
            optimizer._learning_rate, keras.optimizers.schedules.LearningRateSchedule
        ):
            schedule = optimizer._learning_rate
            own = _config(schedule)
            yield Entry(PORT, "schedule.class", type(schedule).__name__, "schedule")
            for name, each in own.items():
                yield _entry("schedule", name, each, "schedule", own, _default(schedule, name))
            continue
        yield _entry(holder, key, value, stage, config, _default(optimizer, key))
    names = getattr(optimizer, "_exclude_from_weight_decay_pattern", None)
    excluded = getattr(optimizer, "_exclude_from_weight_decay", None)
    if names is not None or excluded:
        spoken = names.pattern if names is not None else f"{len(excluded)} variables"
        yield Entry(PORT, f"{holder}.exclude_from_weight_decay", spoken, "steps")


def _loss(loss: Any, holder: str) -> Iterator[Entry]:
    if loss is None:
        return
    made = keras.losses.get(loss) if isinstance(loss, str) else loss
    if not isinstance(made, keras.Loss):
        yield Entry(PORT, holder, getattr(made, "__name__", type(made).__name__), "loss")
        return
    config = _config(made)
    yield Entry(PORT, f"{holder}.class", type(made).__name__, "loss")
    for key, value in config.items():
        yield _entry(holder, key, value, "loss", config, _default(made, key))


def _losses(loss: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(loss, dict):
        yield from ((f"loss.{name}", each) for name, each in loss.items())
    elif isinstance(loss, list | tuple):
        yield from ((f"loss.{index}", each) for index, each in enumerate(loss))
    else:
        yield "loss", loss


def _fit(side: Any) -> Iterator[Entry]:
    if side.preprocess is not None:
        yield Entry(PORT, "preprocess", "a function", "outputs")
    yield _entry("fit", "class_weight", side.class_weight, "loss", {})
    if side.batch_size is not None:
        yield Entry(PORT, "fit.batch_size", str(side.batch_size), "batches")
    if side.callbacks is None:
        return
    for index, callback in enumerate(side.callbacks()):
        path = f"callbacks.{index}"
        name = type(callback).__name__
        if type(callback) in HARMLESS:
            yield Entry(PORT, path, name, settled="changes no weight and no rate")
            continue
        yield Entry(PORT, path, name, "schedule")


def _entry(
    holder: str, key: str, value: Any, stage: str, beside: dict[str, Any], default: bool = False
) -> Entry:
    value = _plain(value)
    settled = NEUTRAL if neutral.is_neutral(key, value, beside) else None
    return Entry(PORT, f"{holder}.{key}", shown(value), stage, default, settled)


def _config(one: Any) -> dict[str, Any]:
    try:
        return dict(one.get_config())
    except Exception:  # a class of the user's need not have one
        return {"get_config": "not there"}


def _plain(value: Any) -> Any:
    """Return a serialized object as its class, with what is in it."""
    if isinstance(value, dict) and "class_name" in value:
        config = value.get("config")
        if value["class_name"] == "DTypePolicy":
            return config["name"]
        if not isinstance(config, dict):
            return str(config)
        inner = ", ".join(f"{k}={shown(v)}" for k, v in config.items() if k not in ("seed", "name"))
        return f"{value['class_name']}({inner})"
    return value


def _default(one: Any, key: str) -> bool:
    """Whether a key of a configuration is what the class has by itself."""
    try:
        parameter = inspect.signature(type(one).__init__).parameters.get(key)
        return parameter is not None and bool(parameter.default == getattr(one, key))
    except Exception:
        return False


def _has_layers(config: dict[str, Any]) -> bool:
    return any(key in config for key in ("layers", "layer", "cell", "forward_layer"))


def _stock(cls: type) -> bool:
    return cls.__module__.partition(".")[0] in ("keras", "builtins", "tensorflow", "torch")
