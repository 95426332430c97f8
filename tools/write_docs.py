"""Write the tables, pictures and model cards of the documentation from committed files.

    python -m tools.write_docs [--check]

A table goes between `<!-- NAME -->` and `<!-- end -->`. Figures come from the committed runs
(`tuner_results/reference`), from what the benchmarks wrote (`benchmarks/results`), and
from the recipes. `--check` writes nothing and fails if a page is out of date.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path

from shared_keras.command_line.parser import of_module
from tools import model_card, result_tables, speed_tables

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/results.md", "docs/speed.md", "docs/export.md")
TABLES: dict[str, Callable[[], str]] = {
    "summary": result_tables.summary,
    "sample": result_tables.sample,
    "winners": result_tables.winners,
    "published-counts": result_tables.published_counts,
    "twin-counts": result_tables.twin_counts,
    "whole-trainings": result_tables.whole_trainings,
    "ladder-fashion": lambda: result_tables.ladder_table("fashion"),
    "ladder-mnist": lambda: result_tables.ladder_table("mnist"),
    "epochs": speed_tables.epochs,
    "searches": speed_tables.searches,
    "twins": speed_tables.twins,
    "convolutions": speed_tables.convolutions,
    "sprints": speed_tables.sprints,
    "retrainings": speed_tables.retrainings,
    "clusters": speed_tables.clusters,
    "scale": speed_tables.scale,
    "drawing": speed_tables.drawing,
    "pages": speed_tables.pages,
    "measured-on": speed_tables.measured_on,
}
BLOCK = re.compile(r"<!-- (?P<name>[\w-]+) -->\n(?:.*?\n)??<!-- end -->", re.DOTALL)


def written(text: str) -> str:
    """Return a page with its tables regenerated."""
    return BLOCK.sub(
        lambda block: f"<!-- {block['name']} -->\n{TABLES[block['name']]()}\n<!-- end -->", text
    )


def pages() -> dict[Path, str]:
    """Return each page with what it should hold, the cards of the committed models included."""
    found = {ROOT / page: written((ROOT / page).read_text()) for page in PAGES}
    return found | model_card.cards()


def main() -> int:
    """Write the pages, or check them."""
    parser = of_module(__file__, __doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail if a page is out of date"
    )
    check = parser.parse_args().check
    differing = [p for p, text in pages().items() if not p.exists() or p.read_text() != text]
    if check:
        for path in differing:
            print(
                f"{path.relative_to(ROOT)} is out of date; `python -m tools.write_docs` updates it"
            )
        return 1 if differing else 0
    for path, text in pages().items():
        path.write_text(text)
    for path in [*differing, *result_tables.write_pictures(ROOT / "docs" / "pictures")]:
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
