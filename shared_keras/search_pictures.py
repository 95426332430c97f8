"""Write the pictures of a search."""

from pathlib import Path

import pandas as pd

from shared_keras import plots, runs, search_plots, search_report
from shared_keras.search_report import column


def write(tuner, folder: Path) -> None:
    """Write search.png and, after enough trials, importance.png and parallel.png."""
    table, objective = search_report.rows(tuner), tuner.oracle.objective
    runs.write_figure(folder / "search.png", plots.search(table, objective, folder.name))
    done = pd.DataFrame([row for row in table if row["score"] is not None])
    names = dict.fromkeys(column(p.name) for p in tuner.oracle.hyperparameters.space)
    names = [name for name in names if name in done and done[name].nunique() > 1]
    if len(done) >= search_plots.FEWEST and names:
        found = search_plots.importance(done, names)
        figure = search_plots.importance_figure(found, f"Search {folder.name}, {len(done)} trials")
        runs.write_figure(folder / "importance.png", figure)
        figure = search_plots.parallel_coordinates(
            done, names, _logarithmic(tuner), objective, f"Search {folder.name}"
        )
        runs.write_figure(folder / "parallel.png", figure)


def _logarithmic(tuner) -> set[str]:
    """Return the columns of numbers that were drawn, or are spaced, by their logarithm."""
    names = set()
    for parameter in tuner.oracle.hyperparameters.space:
        config = parameter.get_config()
        values = config.get("values", ())
        spaced = len(values) > 2 and all(isinstance(v, float) and v > 0 for v in values)
        if config.get("sampling") == "log" or spaced:
            names.add(column(parameter.name))
    return names
