"""Seconds until the page of a search of a thousand trials is there, and to write it.

    python -m benchmarks.page [--copies N]

The search is MNIST's committed one, several times over, so each trial has its real curves. The page
is opened in Chromium, whose WebGL runs on the processor: a graphics card is quicker with the
parallel coordinates, which come last. The figures go to benchmarks/results/page.json.
"""

import argparse
import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from shared_keras.command_line.parser import whole

REFERENCE = Path(__file__).parents[1] / "tuner_results" / "reference" / "mnist"
WATCH = """
window.there = {};
addEventListener("DOMContentLoaded", () => {
  const draw = Chart.prototype.draw;
  Chart.prototype.draw = function () { there.tables ??= performance.now(); draw.call(this);
    there.charts = performance.now(); };
});
new MutationObserver(() => { there.all ??= performance.now(); }).observe(document,
  { subtree: true, attributeFilter: ["data-drawn"] });
"""


def main() -> None:
    """Write the page, open it three times, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--copies", type=whole(1), default=4, help="of a search of 276 trials")
    args = parser.parse_args()
    os.environ |= {"KERAS_BACKEND": "jax", "TF_CPP_MIN_LOG_LEVEL": "3"}
    from benchmarks import receipts

    figures = measure(args.copies)
    print(", ".join(f"{name} {value:.4g}" for name, value in figures.items()))
    receipts.write("page", figures)


def measure(copies: int) -> dict:
    """Return the number of trials, the bytes, and seconds."""
    from shared_keras.reporting.pages.search_page import SearchPage
    from shared_keras.results import names
    from tests.browser import chromium

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
        opened = []
        with chromium() as browser:
            for _ in range(3):
                tab = browser.new_page()
                tab.add_init_script(WATCH)
                tab.goto((folder / names.REPORT).as_uri())
                tab.wait_for_selector("html[data-drawn]", timeout=60_000)
                opened.append(tab.evaluate("there"))
        return {
            "trials": len(state.rows),
            "bytes": (folder / names.DATA).stat().st_size,
            "first_write": seconds[0],
            "later_write": statistics.median(seconds[1:]),
        } | {part: statistics.median(each[part] for each in opened) / 1000 for part in opened[0]}


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
