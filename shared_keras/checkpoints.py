"""Save and restore what a training is made of."""

from pathlib import Path

import keras
import numpy as np

from shared_keras.runs import replacing

STATE = "state.npz"


def save(path: Path, model: keras.Model) -> None:
    """Write all variables of a training, whole or not at all.

    Keras's own weight files leave out the seeds of dropout layers, and loading
    them into a new model leaves out the optimizer.
    """
    arrays = [keras.ops.convert_to_numpy(v.value) for v in _variables(model)]
    with replacing(path) as temporary:
        np.savez(temporary, **{str(i): array for i, array in enumerate(arrays)})


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
    with replacing(path) as temporary:
        model.save_weights(temporary)


def _variables(model):
    model.optimizer.build(model.trainable_variables)
    return [
        *model.trainable_variables,
        *model.non_trainable_variables,
        *model.optimizer.variables,
    ]
