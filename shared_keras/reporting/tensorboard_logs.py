"""Write a trial's history and hyperparameters for TensorBoard, without TensorFlow."""

import sys
import types
from collections.abc import Mapping, Sequence
from pathlib import Path


def write(
    folder: Path, history: Mapping[str, Sequence[float]], first: int, values: Mapping
) -> None:
    """Write one run: scalars by epoch, and the hyperparameters for the HParams tab.

    Args:
        folder: Folder of the run.
        history: Values per epoch by name.
        first: Number of the first epoch, counted from one.
        values: Hyperparameters.
    """
    # If a module of this name exists, TensorBoard writes the files itself. Otherwise it uses
    # TensorFlow, which takes seconds to import.
    sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("notf"))
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import summary_v2
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(folder))
    writer.add_event(Event(step=0, summary=summary_v2.hparams_pb(dict(values), folder.name)))
    for name, series in history.items():
        for epoch, value in enumerate(series, first):
            scalar = Summary.Value(tag=name, simple_value=value)
            writer.add_event(Event(step=epoch, summary=Summary(value=[scalar])))
    writer.close()
