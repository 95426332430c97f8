"""What decides a search, in a form that can be stored and compared later."""

import hashlib
import json
import re
from collections.abc import Mapping

import keras
import numpy as np

from shared_keras.systems.spec import System

PLAIN = (type(None), bool, int, float, str)
LONG = 100  # longer lists are digested as arrays


def of(value) -> object:
    """Return JSON that is equal for equal values: arrays as digests, objects as their settings.

    Args:
        value: An array, a plain value, an object such as a callback, or lists and dicts of
            these.
    """
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, Mapping):
        return {str(key): of(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)) and len(value) <= LONG:
        return [of(item) for item in value]
    if hasattr(value, "detach"):  # a PyTorch tensor, perhaps with a gradient or on a GPU
        value = value.detach().cpu()
    if isinstance(value, (list, tuple)) or hasattr(value, "__array__"):
        return _of_array(np.asarray(value))
    settings = {k: v for k, v in getattr(value, "__dict__", {}).items() if isinstance(v, PLAIN)}
    return [f"{type(value).__module__}.{type(value).__qualname__}", settings]


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
            parts.append(json.dumps(describe(), default=lambda part: type(part).__qualname__))
        except Exception:  # a subclassed model need not have a config
            parts.append("?")
    return _digest(re.sub(r'_\d+(?=")', "", "\n".join(parts)).encode())


def _of_array(array: np.ndarray) -> str:
    if array.dtype == object:
        return _digest(repr(array.tolist()).encode())
    return f"{array.dtype} {array.shape} {_digest(np.ascontiguousarray(array))}"


def _digest(data) -> str:
    return hashlib.sha256(data).hexdigest()
