"""Run the notebook of the documentation and keep what its cells show.

    python -m tools.run_notebook

It takes about two minutes on two cores. What is kept of an output is its richest form: the plain
one of an object may hold a path of this machine.
"""

from collections.abc import Mapping
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from shared_keras.command_line.parser import of_module

TOUR = Path(__file__).parents[1] / "docs" / "tour.ipynb"
SECONDS = 900  # that a cell may take, on a machine that others use


def main() -> None:
    """Run it, and write it with its outputs."""
    of_module(__file__, __doc__).parse_args()
    nbformat.write(run(TOUR.parent), TOUR)
    print(f"wrote {TOUR.relative_to(TOUR.parents[1])}")


def run(folder: Path, instead: Mapping[str, str] | None = None) -> nbformat.NotebookNode:
    """Return the notebook with the outputs of a run.

    Args:
        folder: Where it runs; its paths are relative to that.
        instead: Texts of its cells, each with another to put in its place.
    """
    tour = nbformat.read(TOUR, as_version=4)
    for old, new in (instead or {}).items():
        cells = [cell for cell in tour.cells if old in cell.source]
        assert cells, old
        for cell in cells:
            cell.source = cell.source.replace(old, new)
    options = {"resources": {"metadata": {"path": str(folder)}}, "record_timing": False}
    NotebookClient(tour, timeout=SECONDS, **options).execute()
    for cell in tour.cells:
        for output in cell.get("outputs", ()):
            if len(output.get("data", ())) > 1:
                output.data.pop("text/plain", None)
    tour.metadata.language_info = {"name": "python"}  # without the version
    return tour


if __name__ == "__main__":
    main()
