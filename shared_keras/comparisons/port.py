"""A user's port beside its PyTorch original, both in a Python file."""

from collections.abc import Sequence
from pathlib import Path

import port_audit
from shared_keras.data import datasets
from shared_keras.errors import BadInput
from shared_keras.reporting.console import console, say, wrote
from shared_keras.results import folders
from shared_keras.task import Task


def run(
    task: Task,
    paths: Sequence[Path],
    *,
    data_dir: str | None,
    results_dir: Path,
    out: Path | None,
) -> int:
    """Audit a port on the training images; print the report, and write it.

    Args:
        task: The task.
        paths: The files of the original and of the port. They are run.
        data_dir: Folder of images, instead of the embedded ones.
        results_dir: Folder of the user's results.
        out: Where to write; by default a new folder below `results_dir`.

    Returns:
        The exit code: 0 if there is no difference and nothing was left out, 3 if there is a
        difference, 4 if there is none but settings could not be compared.
    """
    for path in paths:
        if not path.is_file():
            raise BadInput(f"argument --port: expected a Python file, got '{path}'")
    images, _ = datasets.load(task, data_dir, say)
    try:
        original, port = paths
        report = port_audit.compare_files(original, port, (images.x, images.y))
    except port_audit.UnusableInput as error:
        raise BadInput(str(error)) from error
    folder = folders.comparison_folder(out, results_dir / task.name / "comparisons", "port")
    report.write(folder, original, port)
    report.show(console())
    wrote(folder)
    return report.exit_code
