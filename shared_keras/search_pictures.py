"""Write the pictures of a search."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from shared_keras import plots, runs, search_plots, search_report
from shared_keras.search_report import PICTURES, column


def write(tuner, folder: Path, say: Callable[[str], None] = print) -> None:
    """Write search.png and, after enough trials, importance.png and parallel.png.

    A picture that cannot be drawn costs only itself.

    Args:
        tuner: The tuner.
        folder: Where to.
        say: Called with a line for each that could not be drawn.

    Raises:
        OSError: if a file cannot be written.
    """
    for name, draw in zip(PICTURES, (_importance, _parallel, _search), strict=True):
        try:
            for figure in draw(tuner, folder.name):
                runs.write_figure(folder / name, figure)
        except OSError:
            raise
        except Exception as error:  # whatever Matplotlib or scikit-learn makes of odd values
            say(f"note: {name} could not be drawn ({type(error).__name__}: {error})")


def _search(tuner, title: str) -> Iterator[Figure]:
    yield plots.search(search_report.rows(tuner), tuner.oracle.objective, title)


def _importance(tuner, title: str) -> Iterator[Figure]:
    done, names = _enough(tuner)
    if names:
        found = search_plots.importance(done, names)
        yield search_plots.importance_figure(found, f"Search {title}, {len(done)} trials")


def _parallel(tuner, title: str) -> Iterator[Figure]:
    done, names = _enough(tuner)
    if names:
        yield search_plots.parallel_coordinates(
            done, names, _logarithmic(tuner), tuner.oracle.objective, f"Search {title}"
        )


def _enough(tuner) -> tuple[pd.DataFrame, list[str]]:
    """Return the trials that have a score, and the hyperparameters that vary, if any."""
    done = pd.DataFrame(plots.scored(search_report.rows(tuner)))
    names = dict.fromkeys(column(p.name) for p in tuner.oracle.hyperparameters.space)
    names = [name for name in names if name in done and done[name].nunique() > 1]
    return done, names if len(done) >= search_plots.FEWEST else []


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
