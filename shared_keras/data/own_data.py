"""A folder of one's own images: how many classes it has, and what it and they are called."""

import unicodedata
from dataclasses import replace
from pathlib import Path

from shared_keras import files
from shared_keras.data import class_folders, datasets, idx
from shared_keras.errors import BadInput
from shared_keras.task import Task

CLASSES = "classes.txt"
TITLE = "# title:"
UNPRINTABLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # Unicode's categories: control, format, line ends
# But for the joiners of Persian and of emoji, marks of direction, and what flags are spelt with.
WANTED = {"\u200c", "\u200d", "\u200e", "\u200f", "\u061c", *map(chr, range(0xE0020, 0xE0080))}
INVISIBLE = UNPRINTABLE | {"Zs"}


def task_of(task: Task, data_dir: str | None) -> Task:
    """Return the task for the images of a folder.

    The file `classes.txt` names the classes, one a line, in the order of their labels. Its first
    line may be `# title:` and a title. Without it, the classes are called "0", "1" and so on,
    as many as there are labels up to the task's own number, and the title is the folder's name.
    Search spaces and recipes stay, and so do the mean and the standard deviation of the pixels
    that some of them standardise with. Published scores go, because they are of other images.

    A folder with a folder of photos for each class has these as its classes, in the order of
    their names; its `classes.txt` may give a title.

    Args:
        task: The task.
        data_dir: Folder with four IDX files or with class folders, or None for the task's
            embedded images.

    Returns:
        The same task, if the folder holds the task's own images and no `classes.txt`.

    Raises:
        BadInput: if a file is missing or wrong, or if there are not at least two classes.
    """
    if data_dir is None:
        return task
    folder = datasets.folder(task, data_dir)
    if not datasets.holds_idx(folder):
        return _of_photos(task, folder)
    highest, where = max(_highest_label(folder, labels) for _, labels in datasets.FILES)
    own = not _holds(folder, task)
    title, classes = _read(folder / CLASSES)
    if classes is None and not own:
        return task
    known = len(task.classes)
    if classes is None and highest >= known:  # more likely a slip than a class
        raise BadInput(
            f"{where}: holds the label {highest}, expected 0...{known - 1}; for more classes, "
            f"name them in {folder / CLASSES}, one a line"
        )
    classes = classes or tuple(map(str, range(highest + 1)))
    if len(classes) < 2:
        raise BadInput(f"{folder}: expected images of at least two classes, got {len(classes)}")
    if highest >= len(classes):
        raise BadInput(
            f"{folder / CLASSES}: expected a line for each of the labels 0...{highest}, "
            f"got {len(classes)} names"
        )
    title = title or files.shown(folder.resolve().name)
    if not own:
        return replace(task, title=title, classes=classes)
    return _own(task, title, classes)


def _of_photos(task: Task, folder: Path) -> Task:
    """Return the task for a folder with class folders."""
    classes = class_folders.find(folder).classes
    title, names = _read(folder / CLASSES)
    if names not in (None, classes):
        raise BadInput(
            f"{folder / CLASSES}: expected no names, or those of the class folders in their order, "
            f"{', '.join(classes)}; got {', '.join(names)}"
        )
    for name in classes:
        if not _printable(name):
            raise BadInput(f"{folder}: expected a name that can be printed, got {name!r}")
    if len(classes) < 2:
        raise BadInput(f"{folder}: expected folders of at least two classes, got '{classes[0]}'")
    return _own(task, title or files.shown(folder.resolve().name), classes)


def _own(task: Task, title: str, classes: tuple[str, ...]) -> Task:
    """Return the task for images of which nothing was published."""
    recipes = {
        name: replace(recipe, published={}, classes={}, note="")
        for name, recipe in task.recipes.items()
    }
    return replace(task, title=title, classes=classes, digests={}, recipes=recipes, own=True)


def _highest_label(folder: Path, name: str) -> tuple[int, Path]:
    path = datasets.find(folder, name)
    return int(idx.read(path, 1).max(initial=0)), path


def _holds(folder: Path, task: Task) -> bool:
    """Return whether a folder holds a task's own images."""
    labels_first = sorted(task.digests, key=lambda name: "images" in name)  # they are small
    return bool(task.digests) and all(
        idx.digest(datasets.find(folder, name)) == task.digests[name] for name in labels_first
    )


def _read(path: Path) -> tuple[str | None, tuple[str, ...] | None]:
    """Read a title and class names; either may be None."""
    if not path.exists():
        return None, None
    try:
        lines = [line.strip() for line in path.read_text("utf-8-sig").rstrip().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: expected class names in UTF-8 ({error})") from None
    title = None
    if lines and lines[0].lower().startswith(TITLE):
        title = lines.pop(0)[len(TITLE) :].strip() or None
    for name in lines:
        if not name or lines.count(name) > 1:
            raise BadInput(f"{path}: expected a different class name on each line, got {name!r}")
        if not _printable(name):
            raise BadInput(f"{path}: expected names that can be printed, got {name!r}")
    return title, tuple(lines) or None


def _printable(name: str) -> bool:
    """Return whether a name shows something, and no terminal is disturbed by it.

    `str.isprintable` is stricter: it takes no space but " ", and no joiner.
    """
    kinds = {char: unicodedata.category(char) for char in name}
    odd = any(kind in UNPRINTABLE and char not in WANTED for char, kind in kinds.items())
    return not odd and not INVISIBLE.issuperset(kinds.values())
