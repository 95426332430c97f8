"""Run all stages of an audit."""

from typing import Any

from port_audit import path, sides
from port_audit.findings import UNEXPLAINED, Finding, Report, Stage
from port_audit.pair import Pair
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
from shared_keras.errors import BadInput, one_line

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
        BadInput: if a side or the data are not what they should be.
    """
    theirs, ours = sides.torch_side(torch_side), sides.keras_side(keras_side)
    x = sides.arrays(x)
    y = sides.arrays(y)
    if sides.count(x) != sides.count(y) or sides.count(x) < 2:
        raise BadInput(
            f"x, y: expected as many inputs as targets, at least 2, got {sides.count(x)} and "
            f"{sides.count(y)}"
        )
    pair = Pair(theirs, ours, x, y)
    try:
        written = path.distances(pair)
        stages = tuple(_stage(name, stage, pair) for name, stage in STAGES.items())
        undone = path.distances(pair)
    finally:
        pair.close()
    return Report(stages, path.steps(written, undone))


def _stage(name, compare_stage, pair) -> Stage:
    """Run a stage; what keeps it from comparing is a finding, and no reason to stop."""
    try:
        return compare_stage(pair)
    except BadInput:
        raise
    except Exception as error:
        message = one_line(error)[:200]
        finding = Finding(name, UNEXPLAINED, f"could not be compared: {message}")
        return Stage(name, "stopped by an error", findings=(finding,))
