"""The tables of speed, from what the benchmarks wrote."""

import statistics
from collections import defaultdict
from pathlib import Path

from shared_keras import files
from shared_keras.task import Task
from tools.markdown import table

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"


def epochs() -> str:
    """Return seconds per epoch, ours beside stock `fit`."""
    cases = _read("epoch")["cases"]
    names = list(next(iter(cases.values()))["contenders"])
    rows = [[name, *(_cell(case["contenders"][name]) for case in cases.values())] for name in names]
    header = [f"{task} {'-'.join(map(str, case['units']))}" for task, case in cases.items()]
    return table(["", *header], rows)


def twins() -> str:
    """Return seconds per epoch of the port beside its PyTorch twin."""
    cases = _read("twin")["cases"]
    names = list(next(iter(cases.values()))["contenders"])
    rows = [[name, *(_cell(case["contenders"][name]) for case in cases.values())] for name in names]
    return table(["", *(f"batch {size}" for size in cases)], rows)


def convolutions() -> str:
    """Return seconds per epoch of convolutional networks, the port beside its PyTorch twin."""
    cases = _read("twin-convolutions")["cases"] | _read("twin-sprints")["cases"]
    names = list(next(iter(cases.values()))["contenders"])
    rows = [
        [case, *(_cell(found["contenders"][name]) for name in names)]
        for case, found in cases.items()
    ]
    return table(["network", *names], rows)


def sprints() -> str:
    """Return accuracy and seconds of the recipes `sprint`, as whole commands."""
    rows = [row for task in ("mnist", "fashion") for row in _sprint(task)]
    return table(("", "seeds", "test accuracy, %", "seconds", "of processors"), rows)


def _sprint(task: str) -> list[list[str]]:
    found = _read(f"sprint-{task}")
    rows = [
        [
            f"{task}, {side}",
            str(len(row["accuracies"])),
            f"{100 * row['mean']:.2f} ± {100 * row['sd']:.2f}",
            f"{row['seconds']:.1f}",
            f"{row['processor_seconds']:.1f}",
        ]
        for side, row in found["sides"].items()
    ]
    ours = found["sides"]["ours"]
    rows[0][2] += f" ({_goal(100 * found['goal'], ours['mean'] >= found['goal'])})"
    rows[0][3] += f" ({_goal(round(found['allowed'], 1), ours['seconds'] <= found['allowed'])})"
    return rows


def searches() -> str:
    """Return seconds of whole searches, with goals and whether they were met.

    The limit is that at the highest rate of matrix products that any of them measured.
    """
    rows = []
    cases = [files.read_json(p) for p in sorted(RESULTS.glob("search-*.json"), key=_order)]
    rate = max(case["gflop_per_s"] for case in cases)
    for case in cases:
        for name, found in case["contenders"].items():
            ours = name.startswith("ours")
            limit = found["seconds"] / (found["limit"] * case["gflop_per_s"] / rate)
            measured = (
                f"{limit:.1f} times the limit" if ours else f"{found['ratio']:.1f} times ours"
            )
            goal, met = "-", "-"
            if ours:
                goal, met = "at most 3", "yes" if limit <= 3 else "no"
            elif found["goal"]:
                goal, met = f"at least {found['goal']:g}", _met(found["ratio"] >= found["goal"])
            label = f"{case['case']}, {case['max_epochs']} epochs" if ours else ""
            rows.append([label, name, f"{found['seconds']:.0f}", goal, measured, met])
    return table(("search", "contender", "seconds", "goal", "measured", "met"), rows)


def scale() -> str:
    """Return how long simulated searches take on how many workers, and why workers wait."""
    rows = []
    paths = RESULTS.glob("scale-*.json")
    for found in sorted(map(files.read_json, paths), key=lambda f: (f["task"], f["about"])):
        label = f"{found['task']}, {found['cases'][0]['trials']:,} trials"
        for case in (case for case in found["cases"] if case["workers"] in SHOWN_WORKERS):
            total = case["seconds"] * case["workers"]
            best = max(case["longest"], case["trained"] / case["workers"])
            shares = [case["trained"], *case["idle"].values()]
            row = [label, f"{case['workers']:,}", f"{case['seconds']:,.0f}", f"{best:,.0f}"]
            row += [f"{100 * share / total:.1f} %" for share in shares]
            rows.append([*row, f"{case['trials'] / case['deciding']:.0f}"])
            label = ""
    header = ("search", "workers", "seconds", "at best", "used", "deciding", "rung", "left")
    return table((*header, "trials a second"), rows)


def pages() -> str:
    """Return how long a page takes to open, and what it costs the search that writes it."""
    page, search = _read("page"), _read("page-search")
    clock, processor = search["seconds"], search["processor_seconds"]
    times = f"{processor['ratio']:.3f} times, {_goal(search['goal'], _within(search))}"
    rows = [
        ("opening: tables are there after", page["tables"], ""),
        ("charts in sight are there after", page["charts"], _goal(page["goal"], _open(page))),
        ("of which its main thread works", page["main_thread"], ""),
        ("`data.js` is written, with nothing new, in", page["later_write"], ""),
        ("a search without a page, processor seconds", processor["without"], ""),
        ("with one", processor["with"], times),
        ("a search without a page, seconds", clock["without"], ""),
        ("with one", clock["with"], f"{clock['ratio']:.2f} times"),
    ]
    header = (f"{page['trials']:,} trials, {page['bytes'] / 1e6:.1f} MB", "seconds", "")
    return table(header, [[name, f"{seconds:.3g}", said] for name, seconds, said in rows])


def retrainings() -> str:
    """Return how long retraining takes on all cores, beside one run after the other."""
    rows = []
    for found in map(files.read_json, sorted(RESULTS.glob("retrain-*.json"))):
        epochs = f"{found['epochs']} epochs" if found["epochs"] else "all epochs"
        seconds = [
            f"{statistics.median(each['seconds'] for each in found['measured'][way]):.0f}"
            for way in ("one by one", "on all cores")
        ]
        what = f"{found['task']}, `--runs {found['runs']}`, {epochs}"
        goal = _goal(found["goal"], found["ratio"] <= found["goal"])
        rows.append([what, *seconds, f"{found['ratio']:.2f} ({goal})"])
    return table(("perceptrons of `--recipe all`", "one by one", "on all cores", "ratio"), rows)


def clusters() -> str:
    """Return how long a search takes on a local Ray cluster, beside worker processes."""
    found = _read("cluster")
    near, far = (statistics.median(seconds) for seconds in zip(*found["seconds"]))
    ratio = f"{found['ratio']:.2f} ({_goal(found['goal'], found['ratio'] <= found['goal'])})"
    what = f"{found['trials']} trials on {found['workers']} workers, {len(found['seconds'])} rounds"
    row = [what, f"{near:.0f}", f"{far:.0f}", ratio]
    return table(("search", "worker processes", "Ray's actors", "ratio"), [row])


def drawing() -> str:
    """Return milliseconds of the pages that draw."""
    rows = [
        [name, str(found["n"]), f"{found['median']:.1f}", f"{found['most']:.1f}"]
        for name, found in _read("drawing")["milliseconds"].items()
    ]
    return table(("page", "n", "median ms", "nine in ten ms, at most"), rows)


def measured_on() -> str:
    """Return each machine, with what was measured on it, when and at which commits."""
    machines = defaultdict(list)
    for path in sorted(RESULTS.glob("*.json")):
        case = files.read_json(path)
        versions = ", ".join(f"{k} {v}" for k, v in case["versions"].items() if k in SHOWN)
        machines[f"{case['processor']}, {case['device']}", versions].append((path.stem, case))
    rows = []
    for machine, measured in machines.items():
        dates = sorted({case["date"] for _, case in measured})
        names = defaultdict(list)
        for name, case in measured:
            commit, _, changed = (case["commit"] or "?").partition("-")
            names[commit[:7] + ", with changed files" * bool(changed)].append(name)
        commits = "; ".join(f"{', '.join(of)}: {commit}" for commit, of in names.items())
        rows.append([*machine, " to ".join(dict.fromkeys((dates[0], dates[-1]))), commits])
    return table(("machine", "versions", "date", "measured at commit"), rows)


SHOWN_WORKERS = (16, 64, 256, 1024)
SHOWN = ("python", "keras", "jax", "tensorflow", "torch", "keras-tuner")


def search_of(task: Task) -> dict:
    """Return the longest measured search of a task's default space."""
    found = RESULTS.glob(f"search-{task.name}-{task.default_space}-*.json")
    return max(map(files.read_json, found), key=lambda case: case["max_epochs"])


def backends(case: dict) -> list[str]:
    """Return the backend of each contender."""
    return [name.partition(", ")[2] for name in case["contenders"]]


def _read(name: str) -> dict:
    return files.read_json(RESULTS / f"{name}.json")


def _order(path: Path) -> tuple:
    case = files.read_json(path)
    return case["case"], case["max_epochs"]


def _open(page: dict) -> bool:
    return page["charts"] <= page["goal"]


def _within(search: dict) -> bool:
    return search["processor_seconds"]["ratio"] <= search["goal"]


def _met(met: bool) -> str:
    return "yes" if met else "no"


def _goal(goal: float, met: bool) -> str:
    return f"goal {goal:g}: {'met' if met else 'not met'}"


def _cell(found: dict) -> str:
    text = f"{found['seconds']:.2f}"
    if found["ratio"] == found["ratio_low"] == found["ratio_high"] == 1:
        return text
    text += f" ({found['ratio']:.1f} times ours"
    if found["goal"]:
        text += f"; {_goal(found['goal'], found['ratio'] >= found['goal'])}"
    return f"{text})"
