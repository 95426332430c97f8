"""Seconds per epoch: our training beside stock `fit`, in one run.

    python benchmarks/epoch.py [--rounds N]

Each contender lives in a process of its own, has both cores, and trains one epoch
when it is told to; the others wait. Rounds go through all contenders in turn, so
that a change of the machine's speed meets all of them. The first epoch of each,
which compiles, does not count. Ratios are taken within a round; what is printed is
their median, with the range.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

# DESIGN 3: the published winners, batch 32, 60,000 images, no validation.
MODELS = {"mnist": (120, 15, 75), "fashion": (504, 288, 408)}
STOCK = ("fit, TensorFlow", "fit, JAX")
OURS = ("training.fit, JAX", "training.fit, TensorFlow")
TARGETS = {"mnist": (6.0, 1.4), "fashion": (3.5, 1.2)}


def main() -> None:
    """Run the contenders in turn and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    for task, units in MODELS.items():
        print(f"\n{task} {'-'.join(map(str, units))}, batch 32, seconds per epoch")
        seconds = measure(task, rounds)
        reference = seconds[OURS[0]]
        for how, column in seconds.items():
            ratios = [theirs / ours for theirs, ours in zip(column, reference)]
            line = f"  {how:26} median {statistics.median(column):6.2f}"
            line += f"   / ours {statistics.median(ratios):5.2f}"
            line += f"  ({min(ratios):.2f} to {max(ratios):.2f})"
            if how in STOCK:
                line += f"   wanted at least {TARGETS[task][STOCK.index(how)]}"
            print(line, flush=True)


def measure(task: str, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each contender in each round."""
    contenders = {}
    for how in (*OURS[:1], *STOCK, *OURS[1:]):
        environment = os.environ | {
            "KERAS_BACKEND": how.rpartition(" ")[2].lower(),
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        contenders[how] = subprocess.Popen(
            [sys.executable, __file__, "--contender", how.partition(",")[0], task, str(rounds)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        epoch(contenders[how])  # compiles
    seconds = {how: [] for how in contenders}
    for _ in range(rounds):
        for how, process in contenders.items():
            seconds[how].append(epoch(process))
    for process in contenders.values():
        process.communicate()
    return seconds


def epoch(process: subprocess.Popen) -> float:
    """Let a contender train one epoch; return the seconds."""
    process.stdin.write("go\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def contend(how: str, task_name: str, rounds: int) -> None:
    """Train, an epoch for each line on stdin, with its seconds on stdout."""
    import importlib

    import keras

    from shared_keras import datasets, training
    from shared_keras.mlp import Layer, mlp

    class Gate(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            sys.stdin.readline()
            self.started = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            print(time.perf_counter() - self.started, flush=True)

    task = importlib.import_module(f"{task_name}_keras.task").TASK
    train, _ = datasets.load(task)
    layers = [Layer(units) for units in MODELS[task_name]]
    model = mlp(layers, learning_rate=1e-3)
    options = {"batch_size": 32, "epochs": rounds + 1, "callbacks": [Gate()], "verbose": 0}
    if how == "training.fit":
        training.fit(model, train.x, train.y, **options)
        return
    # As the originals: pixels divided beforehand, into float64.
    stock = keras.Sequential([keras.Input((28, 28)), *model.layers[1:]])
    stock.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    stock.fit(train.x / 255.0, train.y, **options)


if __name__ == "__main__":
    if "--contender" in sys.argv:
        contend(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        main()
