"""Run all stages of an audit."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import torch

from port_audit import memory, path, samples, sides, witness
from port_audit.courses import Courses
from port_audit.errors import UnusableInput, one_line
from port_audit.findings import FUNCTION, REPORTED, START, TRAINING, UNEXPLAINED, Finding, Stage
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
from port_audit.stages.handed import Agreement
from port_audit.user_files import blamed, read_file

SEED = 0
# What a stage's findings change, unless it has measured another grade.
SEVERITY = {
    "layers": FUNCTION,
    "outputs": FUNCTION,
    "initial values": START,
    "evaluation": REPORTED,
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
    pair = Pair(theirs, ours, *samples.mixed(x, y))
    try:
        written = path.distances(pair)
        stages = tuple(_stages(pair))
        undone = path.distances(pair)
        pair.lighten()
        stages += (witness.watch(pair, stages, _undo_again),)
    finally:
        pair.close()
    return Report(stages, path.steps(written, undone), tuple(pair.ledger))


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


def _stages(pair: Pair) -> Iterator[Stage]:
    """Run the stages. What one needs to know of another, it is given."""
    stage, complete = _run("layers", layers.compare, pair, unknown=False)
    yield stage
    nothing = Agreement(settled=False)
    stage, agreement = _run("outputs", outputs.compare, pair, complete, unknown=nothing)
    yield stage
    yield _run("initial values", initial_values.compare, pair)[0]
    stage, alike = _run("training mode", training_mode.compare, pair, agreement, unknown=False)
    yield stage
    stage, known_loss = _run("loss", loss.compare, pair, agreement.ends)
    yield stage
    courses = Courses(pair)
    if pair.cost.large:
        memory.forget_programs()
    settled = agreement.settled and alike
    yield _run("steps", steps.compare, pair, settled, known_loss, courses)[0]
    if pair.cost.large:
        memory.forget_programs()
    yield _run("schedule", schedule.compare, pair, courses)[0]
    yield _run("evaluation", evaluation.compare, pair, agreement.settled)[0]


def _undo_again(pair: Pair) -> bool:
    """Undo the causes in layers and outputs of a pair; return whether its outputs agree."""
    complete = layers.compare(pair)[1]
    return outputs.compare(pair, complete)[1].settled


def _run(name: str, compare_stage: Callable, *given: Any, unknown: Any = None) -> tuple[Stage, Any]:
    """Run a stage; what keeps it from comparing is a finding, and no reason to stop.

    Args:
        name: Name of the stage.
        compare_stage: Compares, and returns the stage, alone or with what it hands on.
        given: What it takes.
        unknown: What it hands on if it is stopped by an error.
    """
    try:
        found = compare_stage(*given)
    except UnusableInput:
        raise
    except Exception as error:
        message = one_line(error)[:200]
        finding = Finding(name, UNEXPLAINED, f"could not be compared: {message}")
        return Stage(name, "stopped by an error", findings=(finding,)), unknown
    finally:
        memory.hand_back()
    stage, handed = (found, None) if isinstance(found, Stage) else found
    grade = SEVERITY.get(name, TRAINING)
    graded = [replace(f, severity=f.severity or grade) for f in stage.findings]
    return replace(stage, findings=tuple(_joined(graded))), handed


def _joined(findings: list[Finding]) -> list[Finding]:
    """Return findings of one cause at several places as one."""
    places: dict[tuple, list[Finding]] = {}
    for finding in findings:
        key: tuple[str, ...] = (finding.name, finding.cause, finding.write, finding.severity)
        if not finding.explained:
            key = (*key, finding.where)
        places.setdefault(key, []).append(finding)
    return [
        found[0]
        if len(found) == 1
        else replace(
            found[0],
            where=f"{found[0].where} and {len(found) - 1} more",
            size=max((f.size for f in found if f.size is not None), default=None),
        )
        for found in places.values()
    ]
