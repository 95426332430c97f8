"""Write a page: `report.html` stays as it is, `data.js` beside it may be written again and again.

The page holds the project's own scripts and styles, so it opens with a double click. Only Plotly,
which is large, lies in a file of its own that all pages of a results folder share.
"""

import html
import importlib.util
import json
import math
import os
from collections.abc import Mapping
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from shared_keras import files
from shared_keras.results import names

ASSETS = resources.files(__package__) / "assets"
COMMON = ("elements.js", "numbers.js", "filters.js", "table.js", "charts.js", "page.js")
SCRIPTS = {  # of each kind of page, in the order in which they need each other
    "search": (
        "trials.js",
        "scores.js",
        "trial_table.js",
        "parallel.js",
        "funnel.js",
        "curves.js",
        "importance.js",
        "times.js",
        "search.js",
    ),
    "run": ("curves.js", "classes.js", "images.js", "run.js"),
    "ladder": ("ladder.js",),
}
DIGITS = 6  # that count, of a number; a larger one, such as the time of day, has three decimals


def write(folder: Path, kind: str, title: str, home: Path) -> None:
    """Write the page, and Plotly where it is missing.

    Args:
        folder: Where the page lies.
        kind: A key of SCRIPTS.
        title: Its title.
        home: Folder of results, which has one copy of Plotly.
    """
    plotly = home.absolute() / f"plotly-{metadata.version('plotly')}.min.js"
    if not plotly.exists():
        files.write_bytes(plotly, _plotly())
    link = Path(os.path.relpath(plotly, folder.absolute())).as_posix()
    scripts = f'<script src="{html.escape(names.DATA)}"></script>'
    scripts += f'<script async data-plotly src="{html.escape(link)}"></script>'
    _write(folder / names.REPORT, _page(kind, title, scripts).encode())


def write_data(folder: Path, values: str) -> None:
    """Write what the page shows, which `script` returned, unless it is there already."""
    _write(folder / names.DATA, f"show({values});\n".encode())


def whole(kind: str, title: str, values: str) -> bytes:
    """Return a page that holds all it needs, also Plotly, in one file. See `write`."""
    plotly = _plotly().decode().replace("</script", "<\\/script")
    scripts = f"<script>show({values});</script><script data-plotly>{plotly}</script>"
    return _page(kind, title, scripts).encode()


def script(value: Any) -> str:
    """Return a value as JavaScript that may stand in a page: numbers short, no `<`."""
    return json.dumps(_plain(value), allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _write(path: Path, data: bytes) -> None:
    """Write a file, unless it is there already with the same content."""
    if not path.exists() or path.read_bytes() != data:
        files.write_bytes(path, data)


def _plain(value: Any) -> Any:
    """Return a value that JSON can hold; what is not finite becomes null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return round(value, 3) if abs(value) >= 10**DIGITS else float(f"{value:.{DIGITS}g}")
    return value if isinstance(value, str | int | None) else _plain(value.item())  # NumPy's


def _page(kind: str, title: str, scripts: str) -> str:
    own = [f"{kind}/{name}" for name in SCRIPTS[kind]]
    code = "\n".join(_asset(name) for name in (*COMMON, *own))
    parts = {"title": html.escape(title), "style": _asset("page.css"), "code": code}
    page = _asset("page.html")
    for name, text in (parts | {"scripts": scripts}).items():
        page = page.replace(f"<!-- {name} -->", text, 1)
    return page


def _asset(name: str) -> str:
    return ASSETS.joinpath(*name.split("/")).read_text(encoding="utf-8")


def _plotly() -> bytes:
    """Return plotly.js, which the Python package brings; to import that would take long."""
    (folder,) = importlib.util.find_spec("plotly").submodule_search_locations
    return (Path(folder) / "package_data" / "plotly.min.js").read_bytes()
