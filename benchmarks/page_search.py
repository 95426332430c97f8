"""Seconds of a search that writes its page as it runs, beside one that does not.

    python -m benchmarks.page_search [--rounds N] [--max-epochs N]

Both are the command `mnist_keras.search --space dense`, each in a process of its own and in turn;
in one of them the functions that write the page do nothing. Beside the seconds of the clock, which
other programs lengthen, it takes the processor seconds of all processes of a search. The figures go
to benchmarks/results/page-search.json.
"""

import os
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks import commands
from shared_keras.command_line.parser import of_module, whole
from shared_keras.results import names

WITHOUT = "without"
GOAL = 1.02  # times; the page may take 2 % of a search's time


def main() -> None:
    """Measure, and print ratios."""
    parser = of_module(__file__, __doc__)
    parser.add_argument("--rounds", type=whole(1), default=5, help="how often to search each way")
    parser.add_argument("--max-epochs", type=whole(2), default=4, help="of a trial")
    args = parser.parse_args()
    os.environ |= {"KERAS_BACKEND": "jax", "TF_CPP_MIN_LOG_LEVEL": "3"}
    from benchmarks import receipts

    measured = {"with": [], WITHOUT: []}
    for i in range(args.rounds):
        # Who begins alternates, so that what changes steadily meanwhile meets both.
        for way in sorted(measured, reverse=i % 2):
            measured[way].append(_search(way, args.max_epochs))
            print(f"{way:8}", measured[way][-1], flush=True)
    figures = {"rounds": args.rounds, "max_epochs": args.max_epochs, "goal": GOAL}
    figures["trials"] = measured["with"][0]["trials"]
    for key in ("seconds", "processor_seconds"):
        pairs = zip(measured["with"], measured[WITHOUT])
        figures[key] = {
            way: statistics.median(each[key] for each in found) for way, found in measured.items()
        } | {"ratio": statistics.median(one[key] / other[key] for one, other in pairs)}
        print(key, {name: round(value, 3) for name, value in figures[key].items()})
    receipts.write("page-search", figures)


def _search(way: str, max_epochs: int) -> dict:
    """Search in a process of its own; return seconds, processor seconds, and how many trials."""
    with tempfile.TemporaryDirectory() as folder:
        budget = ["--max-epochs", str(max_epochs), "--factor", "2", "--iterations", "1"]
        words = ["--space", "dense", *budget, "--results-dir", folder]
        seconds, processor = commands.timed(["-m", "benchmarks.page_search", f"--{way}", *words])
        written = list(Path(folder).rglob(names.DATA))
        assert bool(written) == (way != WITHOUT)
        trials = len(list(Path(folder).rglob("trial.json")))
    return {"seconds": seconds, "processor_seconds": processor, "trials": trials}


def search(way: str, words: list[str]) -> int:
    """Run the command, as it is or without what writes the page."""
    from mnist_keras.task import TASK
    from shared_keras.command_line import cli
    from shared_keras.reporting.pages.search_page import SearchPage

    if way == WITHOUT:
        SearchPage.begin = SearchPage.write = lambda *args, **options: None
    sys.argv = ["search", *words]
    return cli.main(TASK, "search")


if __name__ == "__main__":
    if sys.argv[1:2] in (["--with"], [f"--{WITHOUT}"]):
        raise SystemExit(search(sys.argv[1].removeprefix("--"), sys.argv[2:]))
    main()
