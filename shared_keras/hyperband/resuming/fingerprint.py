"""What decides a search, in a form that can be stored and compared later."""

import functools
import hashlib
import inspect
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import keras_tuner
import numpy as np

from shared_keras import silence
from shared_keras.hyperband.resuming import function_digest
from shared_keras.hyperband.space import Space
from shared_keras.processes import program
from shared_keras.systems.spec import System

IGNORED = ("verbose", "epochs", "initial_epoch")  # do not change what a search finds
PLAIN = (type(None), bool, int, float, str)
PATHS = ("log_dir", "filepath", "filename", "backup_dir", "path")
LONG = 100  # longer lists are digested as arrays
UNKNOWN = ("builtins.function", "builtins.method", "functools.partial", "builtins.type")


def of(value: Any) -> Any:
    """Return JSON that is equal for equal values: arrays as digests, objects as their settings.

    Args:
        value: An array, a plain value, a function, an object such as a callback, or lists and
            dicts of these.
    """
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, Mapping):
        return {str(key): of(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)) and len(value) <= LONG:
        return [of(item) for item in value]
    if isinstance(value, functools.partial):
        return [of(value.func), of(value.args), of(value.keywords)]
    wrapped = callable(value) and hasattr(value, "__wrapped__")
    if isinstance(value, function_digest.FUNCTIONS) or wrapped:
        return function_digest.of(value)
    if isinstance(value, type):
        return f"{program.home(value)}.{value.__qualname__}"
    if hasattr(value, "detach"):  # a PyTorch tensor, perhaps with a gradient or on a GPU
        value = value.detach().cpu()
    if isinstance(value, (list, tuple)) or hasattr(value, "__array__"):
        return _of_array(np.asarray(value))
    return [f"{program.home(type(value))}.{type(value).__qualname__}", _settings(value)]


def _settings(value: Any) -> dict:
    """Return the plain arguments and the functions with which an object was made, but for paths.

    Its other attributes may change when it is used, and paths often hold the date.
    """
    try:
        parameters = inspect.signature(type(value)).parameters
    except ValueError:  # it is not written in Python
        return {}
    found = getattr(value, "__dict__", {})
    names = parameters.keys() - {*PATHS}
    kinds = (*PLAIN, *function_digest.FUNCTIONS)
    return {name: of(v) for name, v in found.items() if name in names and isinstance(v, kinds)}


def of_search(
    tuner: keras_tuner.Tuner, args: Sequence, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return digests of what decides a search besides the numbers that the oracle records.

    That is what was given to `search`, and what trials have in common.
    """
    placed = {str(place): argument for place, argument in enumerate(args)}
    given = {n: v for n, v in (placed | dict(options)).items() if n not in IGNORED}
    shared = tuner.shared(args, options)
    settings: dict[str, Any] = shared.parts._asdict() | {"max_model_size": shared.max_model_size}
    settings |= {"folds": shared.folds}
    if shared.executions > 1:
        settings["executions_per_trial"] = shared.executions
    given |= {name: value for name, value in settings.items() if value}
    return of(given) | {
        "hypermodel": of_hypermodel(tuner.hypermodel),
        "tune_new_entries": tuner.oracle.tune_new_entries,
        "allow_new_entries": tuner.oracle.allow_new_entries,
    }


def of_model(model: keras.Model | System) -> str:
    """Return a digest of a model's layers and of how it is compiled, not of its weights.

    Names that Keras numbers, such as "dense_3", count as "dense".

    Raises:
        TypeError: if it is not a model.
    """
    if isinstance(model, System):
        return _digest(json.dumps(model.to_json()).encode())
    parts = [type(model).__qualname__]
    for describe in (model.get_config, model.get_compile_config):
        try:
            with silence.on_stderr():  # to serialize a dtype policy, Keras imports TensorFlow
                settings = describe()
            parts.append(json.dumps(settings, default=lambda part: type(part).__qualname__))
        except Exception:  # a subclassed model need not have a config
            parts.append("?")
    return _digest(re.sub(r'_\d+(?=")', "", "\n".join(parts)).encode())


def of_hypermodel(hypermodel: keras_tuner.HyperModel | None) -> object:
    """Return digests of the functions that a hypermodel consists of, or None."""
    if hypermodel is None or isinstance(hypermodel, Space):  # its models tell
        return None
    own = [hypermodel.build]
    if type(hypermodel).fit is not keras_tuner.HyperModel.fit:
        own.append(hypermodel.fit)
    own = [of(f) if isinstance(f, functools.partial) else function_digest.of(f) for f in own]
    return own if len(own) > 1 else own[0]


def of_functions(model: keras.Model | System) -> list:
    """Return digests of the functions among a model's losses and metrics."""
    if isinstance(model, System) or not model.compiled:
        return []
    metrics = getattr(model._compile_metrics, "_user_metrics", None)
    parts = keras.tree.flatten([model.loss, metrics])
    return [of(part) for part in parts if isinstance(part, function_digest.FUNCTIONS)]


def alike(earlier: Any, now: Any) -> bool:
    """Return whether two results of `of` may be those of equal values.

    Earlier versions recorded no more of a function or a class than its type, and other attributes
    of an object.
    """
    if isinstance(earlier, str) and isinstance(now, str):
        return function_digest.alike(earlier, now)
    if isinstance(earlier, list) and earlier and earlier[0] in UNKNOWN:
        return True
    if isinstance(earlier, list) and isinstance(now, list):
        if _is_object(earlier) and _is_object(now):
            both = earlier[1].keys() & now[1].keys()
            return earlier[0] == now[0] and all(alike(earlier[1][k], now[1][k]) for k in both)
        return len(earlier) == len(now) and all(map(alike, earlier, now))
    if isinstance(earlier, Mapping) and isinstance(now, Mapping):
        return earlier.keys() == now.keys() and all(alike(v, now[k]) for k, v in earlier.items())
    return earlier == now


def _is_object(digest: list) -> bool:
    """Return whether this is what `of` returns for an object: its type and its settings."""
    return len(digest) == 2 and isinstance(digest[0], str) and isinstance(digest[1], Mapping)


def _of_array(array: np.ndarray) -> str:
    if array.dtype == object:
        return _digest(repr(array.tolist()).encode())
    return f"{array.dtype} {array.shape} {_digest(np.ascontiguousarray(array))}"


def _digest(data: Any) -> str:
    return hashlib.sha256(data).hexdigest()
