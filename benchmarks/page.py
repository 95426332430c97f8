"""Seconds until the page of a search of a thousand trials is there, and to write it.

    python -m benchmarks.page [--copies N] [--openings N]

The search is MNIST's committed one, several times over, so each trial has its real curves. The page
is opened in Chromium, whose WebGL runs on the processor, again and again; the quickest opening
counts, as what else runs on a machine only adds to it. The processor seconds of the page's main
thread are measured, too: they say what it takes where nothing else runs. The figures go to
benchmarks/results/page.json.
"""

import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from shared_keras.command_line.parser import of_module, whole

REFERENCE = Path(__file__).parents[1] / "tuner_results" / "reference" / "mnist"
GOAL = 2  # seconds
# Playwright watches a page as a debugger does. Then V8 parses large functions again for the line
# numbers of each caught exception, half a second of Plotly's script, unless it keeps them at once.
AS_UNWATCHED = "--js-flags=--no-enable-lazy-source-positions"
WATCH = """
window.there = {};
addEventListener("DOMContentLoaded", () => requestAnimationFrame(() => setTimeout(() => {
  there.tables = performance.now();
})));
new MutationObserver(() => { there.charts ??= performance.now(); }).observe(document,
  { subtree: true, attributeFilter: ["data-drawn"] });
"""


def main() -> None:
    """Write the page, open it, and print the figures."""
    parser = of_module(__file__, __doc__)
    parser.add_argument("--copies", type=whole(1), default=4, help="of a search of 276 trials")
    parser.add_argument("--openings", type=whole(1), default=5, help="how often to open it")
    args = parser.parse_args()
    os.environ |= {"KERAS_BACKEND": "jax", "TF_CPP_MIN_LOG_LEVEL": "3"}
    from benchmarks import receipts

    figures = measure(args.copies, args.openings)
    print(", ".join(f"{name} {value:.4g}" for name, value in figures.items()))
    receipts.write("page", figures)


def measure(copies: int, openings: int) -> dict:
    """Return the number of trials, the bytes, and seconds."""
    from shared_keras.reporting.pages.search_page import SearchPage
    from shared_keras.results import names

    state, axes = repeated(copies)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for row in state.rows:
            original = REFERENCE / f"trial_{int(row.trial) % (len(state.rows) // copies):04d}"
            (folder / f"trial_{row.trial}").symlink_to(original)
        page = SearchPage(folder, "MNIST", [])
        page.begin(folder)
        seconds = []
        for _ in range(4):
            started = time.perf_counter()
            page.write(state, axes)
            seconds.append(time.perf_counter() - started)
        return {
            "trials": len(state.rows),
            "bytes": (folder / names.DATA).stat().st_size,
            "first_write": seconds[0],
            "later_write": statistics.median(seconds[1:]),
            "goal": GOAL,
        } | quickest(folder / names.REPORT, openings)


def quickest(report: Path, openings: int) -> dict:
    """Return the least seconds until tables and charts in sight are there, by part."""
    from tests.browser import chromium

    found = []
    with chromium(AS_UNWATCHED) as browser:
        for _ in range(openings):
            tab = browser.new_page()
            tab.add_init_script(WATCH)
            session = tab.context.new_cdp_session(tab)
            session.send("Performance.enable", {"timeDomain": "threadTicks"})
            tab.goto(report.as_uri())
            tab.wait_for_selector("html[data-drawn]", timeout=120_000)
            there = {part: ms / 1000 for part, ms in tab.evaluate("there").items()}
            metrics = session.send("Performance.getMetrics")["metrics"]
            spent = {each["name"]: each["value"] for each in metrics}
            found.append(there | {"main_thread": spent["TaskDuration"]})
            tab.close()
    return {part: min(each[part] for each in found) for part in found[0]}


def repeated(copies: int):
    """Return the state of the committed search several times over, and its axes."""
    from mnist_keras.task import TASK
    from shared_keras.hyperband import Hyperband
    from shared_keras.results.settings import SearchSettings

    settings = SearchSettings.read(REFERENCE)
    tuner = Hyperband(
        TASK.builder(settings.space),
        settings.objective,
        max_epochs=settings.max_epochs,
        factor=settings.factor,
        hyperband_iterations=settings.iterations,
        seed=settings.seed,
        directory=REFERENCE.parent,
        project_name=REFERENCE.name,
        workers=1,
    )
    state = tuner.state()
    n, runs = len(state.rows), len({rung.run for rung in state.plan})

    def number(trial, copy):
        return trial and f"{int(trial) + copy * n:04d}"

    rows = [
        replace(row, trial=number(row.trial, copy), parent=number(row.parent, copy))
        for copy in range(copies)
        for row in state.rows
    ]
    plan = [
        rung._replace(run=rung.run + copy * runs, first=rung.first + copy * n)
        for copy in range(copies)
        for rung in state.plan
    ]
    return replace(state, rows=rows, plan=plan, ended=[row.trial for row in rows]), tuner.axes()


if __name__ == "__main__":
    main()
