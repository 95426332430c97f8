"""A folder of one's own images: how many classes it has, and what it and they are called."""

from dataclasses import replace
from pathlib import Path

from shared_keras import files
from shared_keras.data import datasets, idx
from shared_keras.errors import BadInput
from shared_keras.task import Task

CLASSES = "classes.txt"
TITLE = "# title:"


def task_of(task: Task, data_dir: str | None) -> Task:
    """Return the task for the images of a folder.

    The file `classes.txt` names the classes, one a line, in the order of their labels. Its first
    line may be `# title:` and a title. Without it, the classes are called "0", "1" and so on,
    as many as there are labels up to the task's own number, and the title is the folder's name.
    Search spaces and recipes stay, and so do the mean and the standard deviation of the pixels
    that some of them standardise with. Published scores go, because they are of other images.

    Args:
        task: The task.
        data_dir: Folder with four IDX files, or None for the task's embedded images.

    Returns:
        The same task, if the folder holds the task's own images and no `classes.txt`.

    Raises:
        BadInput: if a file is missing or wrong, or if there are not at least two classes.
    """
    if data_dir is None:
        return task
    folder = datasets.folder(task, data_dir)
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
        if not name.isprintable() or not name or lines.count(name) > 1:
            raise BadInput(f"{path}: expected a different class name on each line, got {name!r}")
    return title, tuple(lines) or None
