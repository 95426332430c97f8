"""Bring what the winner's callbacks wrote to where the user told them to write.

A file there is ours if it is as we wrote it, by its time; ours are replaced when another trial
becomes the winner. What was there before the search is replaced, as Keras would, or appended to.
All else is the user's and stays.
"""

import shutil
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import keras
import keras_tuner

from shared_keras import files, words
from shared_keras.errors import RunFailed
from shared_keras.hyperband.decisions import rungs
from shared_keras.hyperband.trials import callback_files

RECORD = "callbacks.json"


def bring(tuner: keras_tuner.Tuner, callbacks: Any, say: Callable[[str], None]) -> None:
    """Copy the files of the winner's callbacks to the paths of the user's callbacks.

    Files that are there already stay as they are, unless another trial is the winner now. What an
    earlier winner left is replaced or deleted then, if nobody has changed it.

    The record says which trial's files are there, when each was written (null: it was about to
    be), and how long each log was that we append to.

    Args:
        tuner: A `Hyperband` that has searched.
        callbacks: What the user gave to the search.
        say: Called with a line about it.

    Raises:
        RunFailed: if a file cannot be written.
    """
    writers = callback_files.writers(keras.tree.flatten(callbacks or []), files.current_folder())
    trials = rungs.lineage(tuner.oracle.trials, tuner.winner())
    if not writers or not trials:
        return
    lineage = [tuner.folder(trial.trial_id) for trial in trials]
    winner, record = trials[0].trial_id, Path(tuner.project_dir) / RECORD
    root, below = callback_files.root(writers), lineage[0] / callback_files.FOLDER
    found = {root / path.relative_to(below): path for path in _files(below)}
    begins = not record.exists()
    earlier = (
        {"trial": None, "files": {}} if begins else files.read_object(record, "trial", "files")
    )
    ours, lengths = dict(earlier["files"]), dict(earlier.get("lengths", {}))
    if earlier["trial"] == winner:
        found = {to: path for to, path in found.items() if not to.exists()}
    new = {to: path for to, path in found.items() if begins or not to.exists() or _is_as(to, ours)}
    left = found.keys() - new.keys()
    if not new:
        if left:
            say(f"{_left(left)}; what the winner, trial {winner}, wrote is in {below}.")
        return
    appending = {writer.path for writer in writers if writer.appends}
    replaced = [to for to in new if begins and to.exists() and to not in appending]
    for to in new.keys() & appending:
        now = to.stat().st_size if to.exists() else 0
        lengths[str(to)] = min(now, lengths.get(str(to), now))
    about_to = {"files": ours | {str(to): None for to in new}, "lengths": lengths}
    files.write_json(record, {"trial": None} | about_to)
    for to, path in new.items():
        older = [each / callback_files.FOLDER / path.relative_to(below) for each in lineage]
        logs = [log for log in reversed(older) if log.exists()]
        try:
            with _replacing(to) as temporary:
                if to in appending:
                    temporary.write_bytes(_appended(to, lengths[str(to)], logs))
                else:
                    shutil.copyfile(path, temporary)
        except OSError as error:
            raise RunFailed(
                f"{to}: what the winner's callback wrote cannot be copied there "
                f"({error.strerror}); it is in {path}"
            ) from error
    if earlier["trial"] != winner:
        _delete(ours, found)
        ours = {}
    ours |= {str(to): to.stat().st_mtime_ns for to in new}
    files.write_json(record, {"trial": winner, "files": ours, "lengths": lengths})
    say(_line(writers, new, replaced, left, winner))


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _is_as(path: Path, ours: dict[str, int | None]) -> bool:
    """Return whether a file is as we wrote it, or were about to."""
    return str(path) in ours and ours[str(path)] in (None, path.stat().st_mtime_ns)


def _replacing(to: Path) -> AbstractContextManager[Path]:
    """Yield a temporary path that then replaces a file, or the one that a link stands for."""
    to = to.resolve()
    to.parent.mkdir(parents=True, exist_ok=True)
    return files.replacing(to)


def _appended(to: Path, length: int, logs: Sequence[Path]) -> bytes:
    """Return the beginning of a file, or the header of logs, and below it the rows of the logs."""
    beginning = to.read_bytes()[:length] if length else b""
    if beginning and not beginning.endswith(b"\n"):
        beginning += b"\n"
    lines = [each for log in logs if (each := log.read_bytes().splitlines(keepends=True))]
    header = [] if beginning or not lines else lines[0][:1]
    rows = [row for log in lines for row in log[1:]]
    return b"".join([beginning, *header, *rows])


def _delete(ours: dict[str, int | None], found: Iterable[Path]) -> None:
    """Delete files that an earlier winner left and this one has not, unless they were changed."""
    kept = {path.resolve() for path in found}
    for name, written in ours.items():
        path = Path(name).resolve()
        if path not in kept and path.is_file() and path.stat().st_mtime_ns == written:
            path.unlink()


def _line(
    writers: Any,
    new: Collection[Path],
    replaced: Collection[Path],
    left: Collection[Path],
    trial: str,
) -> str:
    """Return a line that says whose files are where the user wanted them.

    Args:
        writers: The callbacks that write.
        new: Paths to which files were brought.
        replaced: Those at which there was one before the search.
        left: Paths at which the user's file was left.
        trial: The winner.
    """
    names = _names(writers, new)
    holds = "holds" if len(names) == 1 else "hold"
    line = f"{words.listed(names)} {holds} what the winner, trial {trial}, wrote"
    if replaced:
        line += f", and no longer what was in {words.listed(_names(writers, replaced))} before"
    if left:
        line += f"; {_left(left)}"
    return f"{line}; the other trials' files are in their folders, below {callback_files.FOLDER}."


def _left(paths: Iterable[Path]) -> str:
    names = words.listed(sorted(map(str, paths)))
    return f"{names} stayed as you left it, because no winner wrote what is there"


def _names(writers: Any, paths: Iterable[Path]) -> list[str]:
    """Return the paths of the callbacks, as the user gave them, that wrote to these paths."""
    names = {
        str(getattr(writer.callback, writer.attribute)): None
        for writer in writers
        if any(str(path).startswith(writer.fixed()) for path in paths)
    }
    return list(names)
