"""Save and restore what a training is made of."""

import errno
import os
from pathlib import Path

import keras
import numpy as np

from shared_keras.files import replacing
from shared_keras.models.initializers import assign

STATE = "state.npz"
OVERHEAD = 4096  # bytes of HDF5 beside the values of a weight


def save(path: Path, model: keras.Model) -> None:
    """Write all variables of a training, whole or not at all.

    Keras's own weight files leave out the seeds of dropout layers, and loading
    them into a new model leaves out the optimizer.
    """
    arrays = [keras.ops.convert_to_numpy(v.value) for v in _variables(model)]
    with replacing(path) as temporary:
        np.savez(temporary, **{str(i): array for i, array in enumerate(arrays)})


def load(path: Path, model: keras.Model) -> None:
    """Read what `save` wrote into a model of the same architecture.

    Raises:
        ValueError: if the file is of another architecture.
    """
    with np.load(path, allow_pickle=False) as arrays:
        variables = _variables(model)
        if len(arrays) != len(variables):
            raise ValueError(
                f"{path} holds {len(arrays)} variables, but the model has {len(variables)}"
            )
        assign(variables, [arrays[str(i)] for i in range(len(arrays))])


def save_weights(path: Path, model: keras.Model) -> None:
    """Write a `.weights.h5` file, whole or not at all.

    Raises:
        OSError: if there is no room for it. HDF5 itself may end the process then, so
            that the room is asked for first.
    """
    room = sum(weight.nbytes + OVERHEAD for weight in model.get_weights()) + OVERHEAD
    with replacing(path) as temporary:
        _ask_for(room, temporary)
        model.save_weights(temporary)


def _ask_for(room: int, path: Path) -> None:
    """Make a file of so many bytes, where the system and the disk's format can."""
    with open(path, "wb") as file:
        if hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(file.fileno(), 0, room)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                    raise


def slots(model: keras.Model) -> list:
    """Return the variables of a model's optimizer, or none of a model that is not compiled."""
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None:  # a training loop of one's own need not compile
        return []
    if not optimizer.built:  # or some would begin anew
        optimizer.build(model.trainable_variables)
    return optimizer.variables


def _variables(model):
    return [*model.trainable_variables, *model.non_trainable_variables, *slots(model)]
