"""The page of a search, in a real browser."""

import dataclasses
import subprocess
import sys
import time

import keras
import pytest

from shared_keras.hyperband import Hyperband
from shared_keras.reporting.pages.search_page import SearchPage
from tests.conftest import MNIST
from tests.hyperband.small_search import DATA
from tests.reporting.pages.conftest import look, watched

HOSTILE = "<script>window.hacked = 1</script> & <b>bold</b>"
BRUSHED = (
    "document.querySelector('#parallel .chart').data[0].dimensions.filter(d => d.constraintrange)"
)
BAD = {"rate": 0.1, "kind": "plain", "extra": False, "units": 2}


def build(hp):
    rate = hp.Float("rate", 1e-3, 1.0, sampling="log")
    hp.Choice("kind", ["plain", "<b>bold</b>"])
    if rate == BAD["rate"]:
        raise ValueError(HOSTILE)
    if hp.Boolean("extra"):
        hp.Int("units", 2, 500)
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(2, "softmax")])
    model.compile(
        keras.optimizers.SGD(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


class Followed:
    """A search whose page a tab has open from its beginning to its end."""

    def __init__(self, folder, tab):
        self.seen = []
        self.tuner = Hyperband(
            build,
            "val_accuracy",
            max_epochs=4,
            factor=2,
            seed=4,
            directory=folder,
            project_name="<i>p</i>",
            try_first=[BAD],
            max_consecutive_failed_trials=None,
            workers=1,
            callback=self.write,
        )
        self.tab, self.folder = tab, folder / "<i>p</i>"
        self.page = SearchPage(self.folder, "<i>a search</i>", [("command", HOSTILE)])

    def write(self):
        new = not (self.folder / "report.html").exists()
        state = self.tuner.state()
        self.page.write(state, self.tuner.axes(), under_way=True)
        if new:
            self.page.begin(self.folder.parent)
            look(self.tab, self.folder / "report.html")
        else:
            self.tab.wait_for_timeout(20)  # it runs only while it is waited for
        self.seen.append(self.tab.locator("progress").evaluate("bar => bar.value"))

    def search(self):
        self.tuner.search(**DATA, verbose=0)
        self.page.write(self.tuner.state(), self.tuner.axes())
        return self


@pytest.fixture(scope="module")
def search(tmp_path_factory, chromium):
    """A finished search with a failed trial, and the tab that followed it."""
    tab = chromium.new_page()
    yield Followed(tmp_path_factory.mktemp("pages"), tab).search()
    tab.close()


@pytest.fixture(scope="module")
def opened(search, chromium):
    """The page of the finished search in one tab, as opening it takes seconds."""
    with watched(chromium) as tab:
        yield look(tab, search.folder / "report.html")


@pytest.fixture
def page(opened):
    """That page without filters."""
    clear = opened.get_by_role("button", name="Clear filters")
    if clear.is_visible():
        clear.click()
    return opened


def column(tab, name):
    """Return the texts of a column of the trials, from top to bottom."""
    names = tab.locator("#trials thead th").evaluate_all("all => all.map(e => e.dataset.column)")
    at = next(i for i, each in enumerate(names) if each.strip() == name)
    return tab.locator(f"#trials tbody td:nth-child({at + 1})").all_inner_texts()


def cell(tab, name):
    """Return the cell that filters a column."""
    return tab.locator(f'#trials input[aria-label="Filter {name}"]')


@pytest.mark.long(only=True)
def test_an_open_page_follows_a_search_to_its_end(search):
    assert search.seen[0] == 0 and search.seen == sorted(search.seen)
    expect = f"{len(search.tuner.oracle.trials)} of {len(search.tuner.oracle.trials)} trials"
    search.tab.wait_for_function(f"document.body.innerText.includes('{expect}, finished')")
    assert not search.tab.locator("#winner", has_text="No trial has a score yet").count()


@pytest.mark.long(only=True)
def test_an_open_page_says_when_there_is_no_news(search, tab, tmp_path):
    shown = SearchPage(tmp_path, "a search", [])
    shown.begin(tmp_path)
    state = dataclasses.replace(search.tuner.state(), finished=False)
    shown.write(state, search.tuner.axes(), under_way=True)
    tab.clock.install()
    look(tab, tmp_path / "report.html")
    assert "searching" in tab.locator("header .state").inner_text()
    tab.clock.fast_forward("30:00")
    tab.locator("header .state", has_text="no news since").wait_for()


@pytest.mark.long(only=True)
def test_the_page_says_how_busy_the_workers_were(page, search):
    spans = search.tuner.state().spans.values()
    whole = max(s.ended for s in spans) - min(s.began for s in spans)
    trained = sum(s.ended - s.began for s in spans)
    took, busy = (page.locator("#times .figure b").nth(i).inner_text() for i in (0, 1))
    if whole < 10:  # otherwise in minutes and seconds, and without a decimal
        assert took == f"{whole:.1f} s"
    assert abs(float(busy.removesuffix(" %")) - 100 * trained / whole) <= 1


@pytest.mark.long(only=True)
def test_texts_from_outside_are_shown_as_they_are(page):
    assert page.locator("h1").inner_text() == "<i>a search</i>"
    assert page.locator("#failed tbody").inner_text().count(f"ValueError: {HOSTILE}") == 1
    assert page.locator("#winner dd").first.inner_text() and HOSTILE in page.content().replace(
        "&lt;", "<"
    ).replace("&gt;", ">").replace("&amp;", "&")
    assert page.evaluate("window.hacked") is None
    assert page.locator("main b b, h1 i, td i, td b").count() == 0


@pytest.mark.long(only=True)
def test_trials_are_sorted_with_the_mouse_and_with_the_keys(page):
    scores = [float(text) for text in column(page, "score") if text != "–"]
    page.get_by_role("button", name="score").click()
    assert [float(t) for t in column(page, "score")[: len(scores)]] == sorted(scores)[::-1]
    page.get_by_role("button", name="score").press("Enter")
    assert [float(t) for t in column(page, "score")[: len(scores)]] == sorted(scores)
    assert column(page, "score")[len(scores) :] == ["–"] * column(page, "score").count("–")
    order = page.locator('th[aria-sort="ascending"]')
    assert order.inner_text().startswith("score")


@pytest.mark.long(only=True)
def test_filters_hold_for_the_page_and_survive_a_reload(page, search):
    rows = search.tuner.results()
    cell(page, "epochs").fill("4")
    page.wait_for_function("!document.querySelector('#trials .bar button').hidden")
    wanted = sorted(rows.trial[rows.epochs == 4])
    assert sorted(column(page, "trial")) == wanted
    page.locator("#funnel .cell.faint").first.wait_for()
    assert page.locator("#funnel .cell[data-trial]:not(.faint)").count() == len(wanted)
    cell(page, "rate").fill("nonsense")
    assert cell(page, "rate").get_attribute("aria-invalid") == "true"
    page.reload()
    page.wait_for_selector("html[data-drawn]")
    assert cell(page, "epochs").input_value() == "4"
    assert sorted(column(page, "trial")) == wanted
    page.get_by_role("button", name="Clear filters").click()
    assert len(column(page, "trial")) == len(rows)


@pytest.mark.long(only=True)
def test_a_brush_filters_the_table_and_a_filter_brushes(page):
    page.locator("#parallel").scroll_into_view_if_needed()
    page.wait_for_function("document.querySelector('#parallel .chart').data")
    axis = page.locator("#parallel .y-axis").first.locator(".background").bounding_box()
    middle = axis["x"] + axis["width"] / 2
    before = len(column(page, "trial"))
    page.mouse.move(middle, axis["y"] + 0.4 * axis["height"])
    page.mouse.down()
    page.mouse.move(middle, axis["y"] + 0.6 * axis["height"], steps=4)
    page.mouse.move(middle, axis["y"] + 0.98 * axis["height"], steps=4)
    page.mouse.up()
    page.wait_for_function("!document.querySelector('#trials .bar button').hidden")
    assert ".." in cell(page, "rate").input_value()
    assert 0 < len(column(page, "trial")) < before
    page.get_by_role("button", name="Clear filters").click()
    page.wait_for_function(f"{BRUSHED}.length === 0")
    cell(page, "score").fill(">=0.5")
    page.wait_for_function(f"{BRUSHED}[0]?.label === 'score' && {BRUSHED}.length === 1")


@pytest.mark.long(only=True)
def test_a_trial_is_selected_with_its_whole_setting(page, search):
    trials = search.tuner.oracle.trials
    last = next(i for i, t in trials.items() if "tuner/trial_id" in t.hyperparameters.values)
    page.locator("#trials tbody").get_by_role("button", name=last, exact=True).press("Enter")
    parent = trials[last].hyperparameters.values["tuner/trial_id"]
    told = page.locator(".selection").inner_text()
    assert f"{parent}: " in told and f"{last}: " in told
    assert page.locator("#funnel .cell.selected").count() >= 2


@pytest.mark.long(every=2)
def test_a_phone_shows_the_page_light_and_dark_without_a_scrollbar_below(page):
    page.set_viewport_size({"width": 400, "height": 800})
    page.wait_for_function("document.documentElement.scrollWidth === 400", timeout=20_000)
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        shade = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (int(shade.split("(")[1].split(",")[0]) < 128) == (scheme == "dark")
    page.set_viewport_size({"width": 1280, "height": 800})


@pytest.mark.long(only=True)
def test_on_paper_all_charts_are_drawn_and_nothing_is_wider_than_the_sheet(page):
    widths = "[...document.querySelectorAll('.main-svg')].map((e) => e.width.baseVal.value)"
    page.wait_for_function(f"Math.min(...{widths}) > 690")  # as wide as the screen after a test
    page.emulate_media(color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("[...charts].every((c) => c.element.data || !c.element.isConnected)")
    assert page.evaluate(f"Math.max(...{widths})") == 690 == page.evaluate(f"Math.min(...{widths})")
    tables = "[...document.querySelectorAll('.scroll')].map((e) => e.getBoundingClientRect().width)"
    assert max(page.evaluate(tables)) <= 690
    assert page.evaluate("color('text')") == "#000"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.locator("#scores").scroll_into_view_if_needed()
    page.wait_for_function("document.querySelector('#scores .main-svg').width.baseVal.value > 690")
    page.emulate_media(color_scheme="light")


@pytest.mark.long
def test_a_report_is_one_file_that_needs_nothing_beside_it(search, tab, tmp_path):
    path = search.tuner.report(tmp_path / "mine.html")
    look(tab, path)
    assert len(column(tab, "trial")) == len(search.tuner.oracle.trials)
    assert [each.name for each in tmp_path.iterdir()] == ["mine.html"]
    assert tab.locator("#scores .main-svg").count()


@pytest.mark.long(only=True)
def test_the_page_of_the_command_follows_it(tab, small_dirs, tmp_path):
    words = ["--space", "dense", "--quick", "--data-dir", small_dirs["mnist"]]
    words += ["--results-dir", tmp_path, "--name", "a", "--workers", "1"]
    command = [sys.executable, "-m", f"{MNIST.package}.search", *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as running:
        folder = tmp_path / "mnist" / "searches" / "a"
        while not (folder / "data.js").exists() and running.poll() is None:
            time.sleep(0.2)
        look(tab, folder / "report.html")
        assert tab.locator("header .live").count()
        tab.wait_for_function(
            "document.body.innerText.includes('6 of 6 trials, finished')", timeout=300_000
        )
        assert running.wait(60) == 0
    assert "dense" in tab.locator("#winner").inner_text()
    assert [path.name for path in tmp_path.glob("plotly*")] == [
        path.name for path in tmp_path.rglob("plotly*")
    ]
