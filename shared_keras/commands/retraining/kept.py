"""What is kept of a training, so that one that was interrupted goes on as if it had not been.

A file holds all that its next epoch depends on: weights, optimizer, seeds, early stopping, and the
history so far. It is written after an epoch, but so seldom that this takes a fiftieth of the time,
and after the last one.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from shared_keras import files
from shared_keras.errors import BadInput, one_line
from shared_keras.processes.seldom import Seldom
from shared_keras.results import history_csv, names
from shared_keras.training import checkpoints

PORT, TWIN = checkpoints.STATE, "state.pt"
SHARE = 0.02
OF_STOPPER = ("wait", "best", "best_epoch", "stopped_epoch")


class Paused(Exception):
    """A training that has been kept, and that another job is to resume."""


def needed(folder: Path) -> list[Path]:
    """Return the files from which a training in a folder resumes, if there are any."""
    return [path for path in (folder / PORT, folder / TWIN) if path.exists()]


def forget(folder: Path) -> None:
    """Delete what was kept of a training that has ended."""
    for path in needed(folder):
        path.unlink()


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Refuse a file that cannot be read."""
    try:
        yield
    except Exception as error:  # a broken file may raise anything
        raise BadInput(
            f"{path}: expected what an interrupted training left, got {one_line(error)}; move "
            f"{path.parent} away to start anew"
        ) from None


class Kept:
    """What is kept of a training.

    Args:
        folder: Folder of the run.
        write: Writes the state that is to be kept, given the seconds that it took.
        pause_after: Seconds after which the training pauses, or None.

    Attributes:
        seconds_before: What it took until it was interrupted.
    """

    def __init__(self, folder: Path, write: Callable[[float], None], pause_after: float | None):
        self.folder, self._write, self._pause_after = folder, write, pause_after
        self.seconds_before, self._began = 0.0, time.perf_counter()
        self._history: Mapping = {}
        self._seldom = Seldom(self._now, SHARE)

    def after_epoch(self, history: Mapping[str, list[float]], last: bool) -> None:
        """Keep the state after the last epoch, or another unless that would be too often.

        Args:
            history: The history so far.
            last: Whether it was the last epoch.

        Raises:
            Paused: if the training is to pause.
        """
        self._history, took = history, time.perf_counter() - self._began
        if not last and self._pause_after is not None and took > self._pause_after:
            self._now()
            raise Paused
        if last:
            self._now()
        else:
            self._seldom()

    def _now(self) -> None:
        self._write(self.seconds_before + time.perf_counter() - self._began)
        history_csv.write(self.folder / names.HISTORY, self._history)


class OfPort(keras.callbacks.Callback):
    """Keeps the training of a Keras model. The last of the callbacks, as it needs their results.

    Args:
        folder: Folder of the run.
        stopper: What stops it early, if anything does.
        pause_after: See `Kept`.

    Attributes:
        history: The logs of all epochs, also of those before an interruption.
        over: Whether nothing is left to train.
    """

    def __init__(
        self,
        folder: Path,
        stopper: keras.callbacks.EarlyStopping | None,
        pause_after: float | None,
    ):
        super().__init__()
        self.path, self.stopper, self.over = folder / PORT, stopper, False
        self.history: dict[str, list[float]] = {}
        self._kept = Kept(folder, self._write, pause_after)
        self._stopped_at: dict = {}

    @property
    def epochs(self) -> int:
        """How many epochs have been trained."""
        return len(self.history.get("loss", ()))

    @property
    def seconds_before(self) -> float:
        """What the training took until it was interrupted."""
        return self._kept.seconds_before

    def take_up(self, model: keras.Model) -> None:
        """Go on from what was kept, if anything was.

        Raises:
            BadInput: if that cannot be read.
        """
        if not self.path.exists():
            return
        with _readable(self.path):
            more = checkpoints.load(self.path, model)
            course = json.loads(str(more.pop("course")))
            self.history, self.over = course["history"], course["over"]
            self._kept.seconds_before = course["seconds"]
            best = [more[f"best{i}"] for i in range(len(more))] or None
            self._stopped_at = course["stopper"] | {"best_weights": best}
        self._set_stopper()
        if self.over and best:
            model.set_weights(best)

    def on_train_begin(self, logs: Any = None) -> None:
        """Give early stopping, which has just forgotten it, its state."""
        self._set_stopper()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Record the logs, and keep the training, unless its loss is no longer a number."""
        for name, value in logs.items():
            self.history.setdefault(name, []).append(float(value))
        self.over = self.model.stop_training or epoch + 1 == self.params["epochs"]
        if np.isfinite(logs["loss"]):
            self._kept.after_epoch(self.history, self.over)

    def _set_stopper(self) -> None:
        if self.stopper is not None:
            for name, value in self._stopped_at.items():
                setattr(self.stopper, name, value)

    def _write(self, seconds: float) -> None:
        course = {"history": self.history, "over": self.over, "seconds": seconds, "stopper": {}}
        best: list[np.ndarray] = []
        if self.stopper is not None:
            course["stopper"] = {name: getattr(self.stopper, name) for name in OF_STOPPER}
            best = self.stopper.best_weights or []
        arrays = {f"best{i}": weight for i, weight in enumerate(best)}
        checkpoints.save(self.path, self.model, course=np.array(json.dumps(course)), **arrays)


class OfTwin:
    """Keeps the training of a PyTorch twin.

    Args:
        folder: Folder of the run.
        pause_after: See `Kept`.

    Attributes:
        state: What `twin.fit` is to go on from, or None.
    """

    def __init__(self, folder: Path, pause_after: float | None):
        self.path = folder / TWIN
        self.state: dict[str, Any] | None = None
        self._kept = Kept(folder, self._write, pause_after)

    @property
    def seconds_before(self) -> float:
        """What the training took until it was interrupted."""
        return self._kept.seconds_before

    def take_up(self) -> None:
        """Read what was kept, if anything was.

        Raises:
            BadInput: if it cannot be read.
        """
        import torch

        if self.path.exists():
            with _readable(self.path):
                kept = torch.load(self.path, weights_only=True)
                self.state, self._kept.seconds_before = kept["state"], kept["seconds"]

    def after_epoch(self, state: dict) -> None:
        """Keep what `twin.fit` gives after each epoch."""
        self.state = state
        self._kept.after_epoch(state["history"], state["over"])

    def _write(self, seconds: float) -> None:
        import torch

        with files.replacing(self.path) as temporary:
            torch.save({"state": self.state, "seconds": seconds}, temporary)
