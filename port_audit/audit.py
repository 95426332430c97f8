"""Run all stages of an audit."""

from pathlib import Path
from typing import Any

import keras
import torch

from port_audit import path, samples, sides
from port_audit.errors import UnusableInput, one_line
from port_audit.findings import UNEXPLAINED, Finding, Stage
from port_audit.pair import Pair
from port_audit.report import Report
from port_audit.stages import (
    evaluation,
    initial_values,
    layers,
    loss,
    outputs,
    schedule,
    steps,
    training_mode,
)
from port_audit.user_files import blamed, read_file

SEED = 0
STAGES = {
    "layers": layers.compare,
    "outputs": outputs.compare,
    "initial values": initial_values.compare,
    "training mode": training_mode.compare,
    "loss": loss.compare,
    "steps": steps.compare,
    "schedule": schedule.compare,
    "evaluation": evaluation.compare,
}


def compare(torch_side: Any, keras_side: Any, x: Any, y: Any) -> Report:
    """Compare a Keras model and its training with the PyTorch original, stage by stage.

    Args:
        torch_side: A `TorchSide`, a module, or anything with a `model`, such as a Python module.
        keras_side: A `KerasSide`, a model, or anything with a `model`.
        x: Inputs: an array, or several as a tuple or a dict; samples on the first axis.
        y: Targets, samples on the first axis.

    Returns:
        The report. `show()` prints it.

    Raises:
        UnusableInput: if a side or the data are not what they should be.
    """
    theirs, ours = sides.torch_side(torch_side), sides.keras_side(keras_side)
    x = samples.arrays(x)
    y = samples.arrays(y)
    if samples.count(x) != samples.count(y) or samples.count(x) < 2:
        raise UnusableInput(
            f"x, y: expected as many inputs as targets, at least 2, got {samples.count(x)} and "
            f"{samples.count(y)}"
        )
    pair = Pair(theirs, ours, x, y)
    try:
        written = path.distances(pair)
        stages = tuple(_stage(name, stage, pair) for name, stage in STAGES.items())
        undone = path.distances(pair)
    finally:
        pair.close()
    return Report(stages, path.steps(written, undone))


def compare_files(original: Path, port: Path, data: tuple[Any, Any] | None = None) -> Report:
    """Compare the models that two Python files define; each run finds the same.

    Args:
        original: The file of the original. It is run.
        port: The file of the port. It is run.
        data: Inputs and targets; by default what `data()` of the original returns.

    Raises:
        UnusableInput: if a file or the data are not what they should be; of an error in a file,
            with its line.
    """
    theirs, ours = read_file(original), read_file(port)
    x, y = data if data is not None else _data_of(theirs, original)
    keras.utils.set_random_seed(SEED)
    torch.manual_seed(SEED)
    with blamed(original, port):
        return compare(theirs, ours, x, y)


def _data_of(theirs: Any, file: Path) -> tuple[Any, Any]:
    if not hasattr(theirs, "data"):
        raise UnusableInput(
            f"{file}: defines no data(), expected a function that returns inputs and targets, or "
            "data given beside the files"
        )
    made = theirs.data()
    if not isinstance(made, tuple) or len(made) != 2:
        text = f"expected data() to return inputs and targets, got {made!r}"
        raise UnusableInput(f"{file}: {text:.200}")
    return made


def _stage(name, compare_stage, pair) -> Stage:
    """Run a stage; what keeps it from comparing is a finding, and no reason to stop."""
    try:
        return compare_stage(pair)
    except UnusableInput:
        raise
    except Exception as error:
        message = one_line(error)[:200]
        finding = Finding(name, UNEXPLAINED, f"could not be compared: {message}")
        return Stage(name, "stopped by an error", findings=(finding,))
