"""Bring what the winner's callbacks wrote to where the user told them to write."""

import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import keras
import keras_tuner

from shared_keras import files
from shared_keras.errors import RunFailed
from shared_keras.hyperband.decisions import rungs
from shared_keras.hyperband.trials import callback_files

RECORD = "callbacks.json"  # whose files are there, and when they were written


def bring(tuner: keras_tuner.Tuner, callbacks, say: Callable[[str], None]) -> None:
    """Copy the files of the winner's callbacks to the paths of the user's callbacks.

    Files that are there already stay as they are, unless another trial is the winner now. What an
    earlier winner left is deleted then, if nobody has changed it.

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
    record = Path(tuner.project_dir) / RECORD
    root, below = callback_files.root(writers), lineage[0] / callback_files.FOLDER
    found = {root / path.relative_to(below): path for path in _files(below)}
    earlier = files.read_object(record, "trial", "files") if record.exists() else None
    same = earlier is not None and earlier["trial"] == trials[0].trial_id
    missing = {to: path for to, path in found.items() if not (same and to.exists())}
    if not missing:
        return
    for to, path in missing.items():
        parts = [path]
        if any(writer.appends and writer.path == to for writer in writers):
            older = [each / callback_files.FOLDER / path.relative_to(below) for each in lineage]
            parts = [to, *reversed(older)]
        try:
            _write(to, [part for part in parts if part.exists()])
        except OSError as error:
            raise RunFailed(
                f"{to}: what the winner's callback wrote cannot be copied there "
                f"({error.strerror}); it is in {path}"
            ) from error
    if earlier is not None:
        _delete(earlier["files"], found)
    written = {str(to): to.stat().st_mtime_ns for to in found}
    files.write_json(record, {"trial": trials[0].trial_id, "files": written})
    say(_line(writers, missing, trials[0].trial_id))


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _write(to: Path, parts: Sequence[Path]) -> None:
    """Write a copy of a file or, given several logs, their rows below one header."""
    to.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(to) as temporary:
        if len(parts) == 1:
            shutil.copyfile(parts[0], temporary)
            return
        logs = [part.read_bytes().splitlines(keepends=True) for part in parts]
        rows = [line for log in logs if log for line in log[1:]]
        temporary.write_bytes(b"".join([*next(filter(None, logs), [])[:1], *rows]))


def _delete(earlier: dict[str, int], found: Iterable[Path]) -> None:
    """Delete files that an earlier winner left and this one has not, unless they were changed."""
    for name in earlier.keys() - {str(path) for path in found}:
        path = Path(name)
        if path.exists() and path.stat().st_mtime_ns == earlier[name]:
            path.unlink()


def _line(writers, brought: Iterable[Path], trial: str) -> str:
    """Return a line that says whose files are where the user wanted them."""
    names = {
        str(getattr(writer.callback, writer.attribute)): None
        for writer in writers
        if any(str(path).startswith(writer.fixed()) for path in brought)
    }
    holds = "holds" if len(names) == 1 else "hold"
    return (
        f"{' and '.join(names)} {holds} what the winner, trial {trial}, wrote; "
        f"the other trials' files are in their folders, below {callback_files.FOLDER}."
    )
