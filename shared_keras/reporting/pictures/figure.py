"""A figure that a notebook shows if it is the last line of a cell."""

from matplotlib import figure

from shared_keras import files


class Figure(figure.Figure):
    """A figure made without pyplot, for which notebooks show no picture by themselves."""

    def _repr_png_(self) -> bytes:
        """Return the picture, as `files.write_figure` writes it."""
        return files.png(self)
