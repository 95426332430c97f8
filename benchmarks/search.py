"""Seconds of whole searches: ours beside stock Hyperband, and beside the arithmetic limit.

    python -m benchmarks.search [--cases CASE ...] [--max-epochs N] [--rounds N]
                               [--against NAME ...]

Each search runs in its own process, timed from start to exit, and they take turns. Stock is
`keras_tuner.Hyperband` with its defaults. It uses our schedule and images, and the settings
that our search drew, so both train the same networks, except for those that they promote.
Its models use Keras's own layers and initializers. The arithmetic limit is the time that the
matrix products of a search's trials would take at the rate that this machine reaches on all
cores with large matrices. The figures of a case go to
benchmarks/results/search-CASE-EPOCHS.json.
"""

import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import commands
from shared_keras.command_line.parser import of_module, whole

OURS = "ours, JAX"
STOCK = ("stock, TensorFlow", "stock, JAX")
CASES = {  # task, space, max_epochs, goals: how many times as fast as each of STOCK
    "mnist-dense": ("mnist", "dense", 10, (10.0, 6.0)),
    "mnist-regularized": ("mnist", "regularized", 15, (8.0, None)),
    "fashion-regularized": ("fashion", "regularized", 20, (6.0, 2.5)),
}
PIXELS, CLASSES = 784, 10
DRAWN = "drawn.json"  # the hyperparameters that ours drew, for stock


def main() -> None:
    """Run the searches in turn and print a table for each case."""
    parser = of_module(__file__, __doc__)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--max-epochs", type=whole(1), help="instead of each case's own")
    parser.add_argument("--rounds", type=whole(1), default=1)
    parser.add_argument("--against", nargs="+", choices=STOCK, default=STOCK)
    args = parser.parse_args()
    for case in args.cases:
        _compare(case, args.max_epochs, args.rounds, args.against)


def _compare(case: str, max_epochs: int | None, rounds: int, against: Sequence[str]) -> None:
    task, space, own_epochs, goals = CASES[case]
    max_epochs = max_epochs or own_epochs
    rate = matmul_rate()
    print(
        f"\n{case}, max_epochs {max_epochs}, factor 2; products at {rate:.0f} GFLOP/s", flush=True
    )
    results = {name: [] for name in (OURS, *against)}
    settings = None
    for _ in range(rounds):
        for name, column in results.items():
            column.append(_search(name, task, space, max_epochs, settings))
            settings = settings or column[0]["settings"]
    found = {}
    print(f"  {'':18} seconds  trials  epochs  / ours   limit (s)  / limit")
    for name, column in results.items():
        seconds = statistics.median(r["seconds"] for r in column)
        pairs = zip(column, results[OURS])
        ratio = statistics.median(theirs["seconds"] / own["seconds"] for theirs, own in pairs)
        limit = column[0]["gflop"] / rate
        goal = dict(zip(STOCK, goals)).get(name)
        line = f"  {name:18} {seconds:7.1f}  {column[0]['trials']:6}  {column[0]['epochs']:6}"
        line += f"  {ratio:6.2f}   {limit:6.1f}  {seconds / limit:5.2f}"
        line += f"   goal: at least {goal:g} times ours" if goal else ""
        line += "   goal: at most 3 times the limit" if name == OURS else ""
        print(line, flush=True)
        counts = {key: column[0][key] for key in ("trials", "epochs")}
        found[name] = {"seconds": seconds, "ratio": ratio, "limit": limit, "goal": goal} | counts
    os.environ["KERAS_BACKEND"] = "jax"
    from benchmarks import receipts

    figures = {"case": case, "max_epochs": max_epochs, "rounds": rounds, "gflop_per_s": rate}
    receipts.write(f"search-{case}-{max_epochs}", figures | {"contenders": found})


def _search(name: str, task: str, space: str, max_epochs: int, settings: list | None) -> dict:
    """Run a search in a process; return its seconds, trials, epochs, GFLOP and settings."""
    from shared_keras.hyperband.table import without_bookkeeping

    how, _, backend = name.partition(", ")
    with tempfile.TemporaryDirectory() as folder:
        budget = ["--max-epochs", str(max_epochs), "--factor", "2", "--iterations", "1"]
        words = ["-m", f"{task}_keras.search", "--space", space, *budget, "--results-dir", folder]
        if how == "stock":
            words = ["-m", "benchmarks.search", "--stock", task, space, str(max_epochs), folder]
            Path(folder, DRAWN).write_text(json.dumps(settings))
        variables = {"KERAS_BACKEND": backend.lower(), "TF_CPP_MIN_LOG_LEVEL": "3"}
        seconds, _ = commands.timed(words, variables)
        trials = [json.loads(path.read_text()) for path in Path(folder).rglob("trial.json")]
    trials.sort(key=lambda trial: trial["trial_id"])
    values = [trial["hyperparameters"]["values"] for trial in trials]
    epochs = [v["tuner/epochs"] - v["tuner/initial_epoch"] for v in values]
    gflop = sum(n * _gflop_per_epoch(v) for n, v in zip(epochs, values))
    drawn = [v for v in values if v["tuner/round"] == 0]
    return {
        "seconds": seconds,
        "trials": len(trials),
        "epochs": sum(epochs),
        "gflop": gflop,
        "settings": [without_bookkeeping(v) for v in drawn],
    }


def _gflop_per_epoch(values: dict) -> float:
    """Return the GFLOP of the matrix products of an epoch, training and validation."""
    depth = next(values[name] for name in ("num_layers", "n_hidden_layers") if name in values)
    prefix = "num_units" if "num_layers" in values else "layer_units"
    widths = [PIXELS, *(values[f"{prefix}_{i}"] for i in range(depth)), CLASSES]
    products = [2 * a * b for a, b in itertools.pairwise(widths)]
    training = 3 * sum(products) - products[0]  # no gradient for the pixels
    return (48_000 * training + 12_000 * sum(products)) / 1e9


def matmul_rate(size: int = 2048, repeats: int = 20) -> float:
    """Return the GFLOP/s of large float32 matrix products on all cores."""
    import numpy as np

    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(size, size)).astype(np.float32) for _ in range(2))
    a @ b
    started = time.perf_counter()
    for _ in range(repeats):
        a @ b
    return 2 * size**3 * repeats / (time.perf_counter() - started) / 1e9


def stock(task_name: str, space: str, max_epochs: int, folder: str) -> None:
    """Search as a user of KerasTuner would, among given settings."""
    import importlib

    import keras_tuner

    from shared_keras.data import datasets, splits

    task = importlib.import_module(f"{task_name}_keras.task").TASK
    split = splits.split(task, *datasets.load(task), "holdout")
    describe = task.builder(space).describe
    tuner = keras_tuner.Hyperband(
        lambda hp: plain(describe(hp)),
        "val_accuracy",
        max_epochs=max_epochs,
        factor=2,
        seed=1,  # KerasTuner takes 0 for none
        directory=folder,
        project_name="stock",
    )
    settings = json.loads(Path(folder, DRAWN).read_text())
    tuner.oracle._random_values = map(dict, settings).__next__
    tuner.search(
        split.train.x,
        split.train.y,
        validation_data=(split.validation.x, split.validation.y),
        batch_size=32,
        verbose=0,
    )


def plain(system):
    """Return the compiled model as a Keras user would write it, from Keras's own parts only.

    `models.portable` would return the same model, but would build ours first, in stock's time.
    """
    import keras

    from shared_keras.systems import spec
    from shared_keras.systems.spec import SIDE

    shape = SIDE, SIDE
    model = keras.Sequential([keras.Input(shape), keras.layers.Rescaling(1 / 255)])
    for layer in system.layers:
        match layer:
            case spec.Flatten():
                model.add(keras.layers.Flatten())
            case spec.Dense(units, l2=l2):
                penalty = keras.regularizers.L2(l2) if l2 else None
                model.add(keras.layers.Dense(units, kernel_regularizer=penalty))
            case spec.Activation(name):
                model.add(keras.layers.Activation(name))
            case spec.Dropout(rate):
                model.add(keras.layers.Dropout(rate))
            case _:
                raise ValueError(f"{layer} is not written out here")
    adam = keras.optimizers.Adam(system.optimizer.learning_rate)
    model.compile(adam, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


if __name__ == "__main__":
    if "--stock" in sys.argv:
        task_name, space, max_epochs, folder = sys.argv[2:]
        stock(task_name, space, int(max_epochs), folder)
    else:
        main()
