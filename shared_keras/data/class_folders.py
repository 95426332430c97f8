"""A folder with a folder of image files for each class, as people keep photos of their own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared_keras.data import stratified
from shared_keras.errors import BadInput

SUFFIXES = (".png", ".jpg", ".jpeg")
TRAIN, TEST = "train", "test"
TEST_SHARE = 1 / 6  # of a single set; of both datasets it is a seventh of all images
NAMED = 12  # classes that are named in a line
Arrays = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class ClassFolders:
    """The files of a folder, each with its label.

    Attributes:
        classes: The names of the class folders, sorted; the label is the index.
        train: The files to train on, by class and name.
        test: Those to test on, or None if they are to be cut from `train`.
    """

    classes: tuple[str, ...]
    train: tuple[tuple[Path, int], ...]
    test: tuple[tuple[Path, int], ...] | None


def find(folder: Path) -> ClassFolders | None:
    """Return the class folders in a folder, or in its folders `train` and `test`, if any.

    These two may be classes, too, such as that of trains: then they hold no folders.

    Raises:
        BadInput: if a class has no image file, or if the folder has only `train` or only `test`,
            or if `test` has a class that `train` lacks.
    """
    names = [path.name for path in _folders(folder)]
    if not names:
        return None
    if not any(_folders(folder / name) for name in (TRAIN, TEST) if name in names):
        return ClassFolders(tuple(names), _files(folder, names), None)
    for name, other in ((TRAIN, TEST), (TEST, TRAIN)):
        if name not in names or not _folders(folder / name):
            raise BadInput(
                f"argument --data-dir: expected class folders in {folder / TRAIN} and in "
                f"{folder / TEST}, found none in {folder / name}; `--data-dir {folder / other}` "
                "takes that folder alone and cuts the test images from it"
            )
    classes, tested = ([path.name for path in _folders(folder / n)] for n in (TRAIN, TEST))
    if extra := [name for name in tested if name not in classes]:
        raise BadInput(
            f"{folder / TEST / extra[0]}: expected a class of {folder / TRAIN}, one of "
            f"{', '.join(classes)}"
        )
    train = _files(folder / TRAIN, classes)
    test = _files(folder / TEST, [name for name in classes if name in tested])
    return ClassFolders(
        tuple(classes), train, tuple((path, classes.index(path.parent.name)) for path, _ in test)
    )


def load(folder: Path, kind: str, say: Callable[[str], None]) -> tuple[Arrays, Arrays]:
    """Read and prepare all photos; leave out those on which nothing is found.

    Args:
        folder: A folder in which `find` finds some.
        kind: What the photos show, as in `Task.photos`.
        say: Called with each line about what was made of them.

    Returns:
        Training images, uint8 (n, 28, 28), with labels, int32 (n,); and test images with theirs.

    Raises:
        BadInput: naming a file that cannot be read, or if a class has too few images.
    """
    from shared_keras.photos import many_photos, reading  # SciPy's part for images

    found = find(folder)
    files = found.train + (found.test or ())
    if len(files) > many_photos.FEW:
        say(f"preparing {len(files):,} photos in {folder}")
    read = many_photos.read([path for path, _ in files], kind)
    if broken := [each for each in read if isinstance(each, BadInput)]:
        more = f" (and {len(broken) - 1:,} more files like it)" * (len(broken) > 1)
        raise BadInput(f"{broken[0]}{more}")
    photos = [each for each in read if not isinstance(each, BadInput)]
    full = [i for i, photo in enumerate(photos) if photo.image is not None]
    if not full:
        raise BadInput(f"{folder}: no photo can be used, {reading.EMPTY[kind]}")
    x = np.stack([photos[i].image for i in full])
    y = np.array([files[i][1] for i in full], np.int32)
    if found.test is None:
        train, test = stratified.cut(y, TEST_SHARE)
        how = "a sixth of each class, the same each time"
    else:
        is_test = np.array(full) >= len(found.train)
        train, test = np.flatnonzero(~is_test), np.flatnonzero(is_test)
        how = f"those in {folder / TEST}"
    for part, name in ((train, TRAIN), (test, TEST)):
        if not len(part):
            raise BadInput(f"{folder / name}: no photo can be used, {reading.EMPTY[kind]}")
    say(
        f"{folder}: photos of {len(found.classes)} classes, in the order of their names "
        f"({_names(found.classes)}); {len(train):,} to train on and {len(test):,} to test on, "
        f"{how}; prepared as `predict` prepares photos of {reading.SHOWN[kind]}"
    )
    taken = {path for path, _ in files}
    if others := [path for path in many_photos.inside(folder) if path not in taken]:
        say(many_photos.left_out(others, "PNG or JPEG files, right in the folder of their class"))
    if len(full) < len(photos):
        out = len(photos) - len(full)
        first = next(path for (path, _), photo in zip(files, photos) if photo.image is None)
        say(
            f"warning: {out:,} photo{'s are' if out > 1 else ' is'} left out, as on "
            f"{first}: {reading.EMPTY[kind]}"
        )
    return (x[train], y[train]), (x[test], y[test])


def _folders(folder: Path) -> list[Path]:
    """Return the folders in a folder, by name, but for hidden ones."""
    inside = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted((path for path in inside if path.is_dir()), key=lambda path: path.name)


def _files(folder: Path, classes: Sequence[str]) -> tuple[tuple[Path, int], ...]:
    """Return the image files of class folders with their labels, by class and name."""
    files = []
    for label, name in enumerate(classes):
        inside = sorted((folder / name).iterdir(), key=lambda path: path.name)
        images = [
            path
            for path in inside
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
        ]
        if not images:
            raise BadInput(
                f"{folder / name}: expected PNG or JPEG files of the class '{name}', got none"
            )
        files += [(path, label) for path in images]
    return tuple(files)


def _names(classes: Sequence[str]) -> str:
    shown = ", ".join(classes[:NAMED])
    return f"{shown}, ..., {classes[-1]}" if len(classes) > NAMED else shown
