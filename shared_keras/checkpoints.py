"""Save and restore what a training is made of."""

import os
from pathlib import Path

import keras
import numpy as np

STATE = "state.npz"


def save(path: Path, model: keras.Model) -> None:
    """Write all variables of a training, whole or not at all.

    Keras's own weight files leave out the seeds of dropout layers, and loading
    them into a new model leaves out the optimizer.
    """
    temporary = path.with_name(f"tmp-{path.name}")
    arrays = [keras.ops.convert_to_numpy(v.value) for v in _variables(model)]
    np.savez(temporary, **{str(i): array for i, array in enumerate(arrays)})
    os.replace(temporary, path)


def load(path: Path, model: keras.Model) -> None:
    """Read what `save` wrote into a compiled model of the same architecture.

    Raises:
        ValueError: if the file is of another architecture.
    """
    with np.load(path, allow_pickle=False) as arrays:
        variables = _variables(model)
        if len(arrays) != len(variables):
            raise ValueError(
                f"{path} holds {len(arrays)} variables, but the model has {len(variables)}"
            )
        for i, variable in enumerate(variables):
            variable.assign(arrays[str(i)])


def save_weights(path: Path, model: keras.Model) -> None:
    """Write a `.weights.h5` file, whole or not at all."""
    temporary = path.with_name(f"tmp-{path.name}")
    model.save_weights(temporary)
    os.replace(temporary, path)


def _variables(model):
    model.optimizer.build(model.trainable_variables)
    return [
        *model.trainable_variables,
        *model.non_trainable_variables,
        *model.optimizer.variables,
    ]
