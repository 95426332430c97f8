"""The page of the ladder, as `compare` writes it."""

import pandas as pd
import pytest

from shared_keras.command_line import cli
from shared_keras.comparisons import verdicts
from tests.conftest import MNIST
from tests.reporting.pages.conftest import look


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What `compare` writes of the committed runs."""
    results = tmp_path_factory.mktemp("results")
    assert cli.main(MNIST, "compare", ["--results-dir", str(results)]) == 0
    (folder,) = (results / "mnist" / "comparisons").iterdir()
    return folder


@pytest.mark.long(only=True)
def test_the_ladder_shows_what_its_table_holds(tab, folder):
    rows = pd.read_csv(folder / "ladder.csv")
    look(tab, folder / "report.html")
    assert len(list(folder.parents[2].rglob("plotly*"))) == 1
    shown = tab.locator("#table tbody tr")
    assert shown.count() == len(rows)
    for i, row in rows.iterrows():
        cells = shown.nth(i).locator("td").all_inner_texts()
        assert cells[:2] == [row.recipe, row.score]
        for text, value in zip(cells[2:5], (row.published, row.ours, row.twin)):
            told = f"{100 * value:.2f} %" if row.score.endswith("accuracy") else f"{value:.4f}"
            assert text.startswith("–" if pd.isna(value) else told)
        ends = verdicts.interval(row.ours, row.ours_sd, row.ours_n)
        if row.score.endswith("accuracy"):
            title = shown.nth(i).locator("td").nth(3).locator("span").get_attribute("title")
            assert title.endswith("{:.2f} % to {:.2f} %".format(*(100 * end for end in ends)))
        assert cells[5] == ("" if pd.isna(row.beside_published) else row.beside_published)
        assert cells[7] == ("" if pd.isna(row.verdict) else row.verdict)


@pytest.mark.long(only=True)
def test_a_filter_of_the_ladder_holds_for_its_chart(tab, folder):
    look(tab, folder / "report.html")
    ticks = "document.querySelector('#chart .chart').layout.yaxis.ticktext"
    main = tab.evaluate(f"{ticks}.length")
    assert main > 1
    tab.get_by_label("Filter recipe").fill("=regularized")
    tab.wait_for_function(f"{ticks}.length === 1")
    assert tab.evaluate(ticks) == ["regularized"]
    tab.set_viewport_size({"width": 400, "height": 800})
    tab.wait_for_function("document.documentElement.scrollWidth === 400")
