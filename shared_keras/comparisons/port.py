"""A user's port beside its PyTorch original, both in a Python file."""

from collections.abc import Sequence
from pathlib import Path

import keras
import torch

from shared_keras import files
from shared_keras.data import datasets
from shared_keras.pytorch import audit
from shared_keras.pytorch.audit import table
from shared_keras.pytorch.audit.sides import blamed
from shared_keras.reporting.console import console, say, wrote
from shared_keras.reporting.pictures.audit_plots import along_the_network
from shared_keras.results import folders
from shared_keras.task import Task

DIFFERENT = 3  # the exit code
SEED = 0


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
        The exit code: 0 if there is no difference, else 3.
    """
    original, port = (audit.read_file(path) for path in paths)
    images, _ = datasets.load(task, data_dir, say)
    keras.utils.set_random_seed(SEED)  # of PyTorch, too, so that each run finds the same
    torch.manual_seed(SEED)
    with blamed(*paths):
        report = audit.compare(original, port, images.x, images.y)
    folder = folders.comparison_folder(out, results_dir / task.name / "comparisons", "port")
    files.write_json(folder / "audit.json", {"files": [str(p) for p in paths]} | report.to_json())
    if report.path:
        title = f"{paths[1].name} beside {paths[0].name}"
        of_outputs = [
            f for stage in report.stages if stage.name == "outputs" for f in stage.findings
        ]
        cause = of_outputs[0].where if of_outputs else None
        files.write_figure(folder / "audit.png", along_the_network(report.path, title, cause))
    table.show(report, console())
    wrote(folder)
    return 0 if report.same else DIFFERENT
