"""Write a trial's history and hyperparameters for TensorBoard, without TensorFlow."""

from collections.abc import Mapping, Sequence
from pathlib import Path


def write(
    folder: Path, history: Mapping[str, Sequence[float]], first_epoch: int, values: Mapping
) -> None:
    """Write one run: scalars by epoch, and the hyperparameters for the HParams tab.

    Args:
        folder: Folder of the run.
        history: Values per epoch by name.
        first_epoch: Number of the first epoch, counted from one.
        values: Hyperparameters.
    """
    from tensorboard.compat import tensorflow_stub
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import summary_v2
    from tensorboard.summary.writer import event_file_writer

    # TensorFlow would write the files, and takes seconds to import. So the writer, and nothing
    # else, gets TensorBoard's own stand-in for it.
    event_file_writer.tf = tensorflow_stub
    writer = event_file_writer.EventFileWriter(str(folder))
    writer.add_event(Event(step=0, summary=summary_v2.hparams_pb(dict(values), folder.name)))
    for name, series in history.items():
        for epoch, value in enumerate(series, first_epoch):
            scalar = Summary.Value(tag=name, simple_value=value)
            writer.add_event(Event(step=epoch, summary=Summary(value=[scalar])))
    writer.close()
