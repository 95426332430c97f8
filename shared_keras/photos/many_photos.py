"""Read many photos, on all cores if it is worth while."""

from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

from shared_keras import devices, words
from shared_keras.errors import BadInput, RunFailed
from shared_keras.photos import reading
from shared_keras.photos.reading import Photo

FEW = 200  # photos; starting processes takes longer than reading so many
CHUNK = 20  # photos that are sent to a process at a time
# Of `reading.FORMATS`.
SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".webp", ".tif", ".tiff")
UNREADABLE = (".heic", ".heif", ".avif", ".jxl", ".jp2", ".dng")  # such as a phone's photos


def inside(folder: Path, suffixes: Sequence[str] = SUFFIXES) -> list[Path]:
    """Return the image files in a folder and in those below it, by name; none that is hidden."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in suffixes
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )


def left_out(paths: Sequence[Path], expected: str) -> str:
    """Return a warning of image files in a folder that are not read."""
    files = f"{words.count(len(paths), 'image file')} {'is' if len(paths) == 1 else 'are'}"
    return f"warning: {files} left out, such as {paths[0]}: expected {expected}"


def read(paths: Sequence[Path], kind: str, thumbnails: int = 0) -> list[Photo | BadInput]:
    """Read photos as `reading.read` does, in the order of their paths.

    Args:
        paths: Their files.
        kind: What they show, as in `Task.photos`.
        thumbnails: How many of them keep their thumbnails; all would take much memory.

    Returns:
        For each path the photo, or what is wrong with it.

    Raises:
        RunFailed: if a process that reads photos died.
    """
    jobs = [(path, kind, number < thumbnails) for number, path in enumerate(paths)]
    if len(jobs) <= FEW:
        return [_read(*job) for job in jobs]
    return list(_in_processes(jobs))


def _in_processes(jobs: Sequence[tuple]) -> Iterator[Photo | BadInput]:
    from loky import ProcessPoolExecutor

    pool = ProcessPoolExecutor(devices.core_count())
    try:
        yield from pool.map(_read, *zip(*jobs), chunksize=CHUNK)
    except BrokenProcessPool as error:
        raise RunFailed(f"a process that reads photos died ({error})") from None
    finally:
        pool.shutdown(wait=False, kill_workers=True)


def _read(path: Path, kind: str, with_thumbnail: bool) -> Photo | BadInput:
    try:
        photo = reading.read(path, kind)
    except BadInput as error:
        return error
    return photo if with_thumbnail else replace(photo, thumbnail=None)
