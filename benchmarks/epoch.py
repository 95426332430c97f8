"""Seconds per epoch: our training beside stock `fit`, in one run.

    python -m benchmarks.epoch [--rounds N]

The published winners, batch 32, 60,000 images, no validation. contenders.py says how they
are timed. The figures go to benchmarks/results/epoch.json.
"""

import os
import sys

from benchmarks import receipts
from benchmarks.contenders import Gate, measure, show, summary
from shared_keras.command_line.parser import of_module, whole

MODELS = {"mnist": (120, 15, 75), "fashion": (504, 288, 408)}
OURS = "training.fit, JAX"
CONTENDERS = (OURS, "fit, TensorFlow", "fit, JAX", "training.fit, TensorFlow")
GOALS = {
    "mnist": {"fit, TensorFlow": 6.0, "fit, JAX": 1.4},
    "fashion": {"fit, TensorFlow": 3.5, "fit, JAX": 1.2},
}


def main() -> None:
    """Run the contenders in turn and print a table."""
    parser = of_module(__file__, __doc__)
    parser.add_argument("--rounds", type=whole(1), default=7)
    rounds = parser.parse_args().rounds
    cases = {}
    for task, units in MODELS.items():
        print(f"\n{task} {'-'.join(map(str, units))}, batch 32, seconds per epoch")
        commands = {}
        for name in CONTENDERS:
            how, _, backend = name.partition(", ")
            arguments = ["-m", "benchmarks.epoch", "--contender", how, task, str(rounds)]
            commands[name] = [f"KERAS_BACKEND={backend.lower()}", *arguments]
        seconds = measure(commands, rounds)
        show(seconds, OURS, GOALS[task])
        cases[task] = {"units": units, **summary(seconds, OURS, GOALS[task])}
    os.environ["KERAS_BACKEND"] = "jax"
    receipts.write("epoch", {"rounds": rounds, "cases": cases})


def contend(how: str, task_name: str, rounds: int) -> None:
    """Train one epoch for each line on stdin, and print its seconds."""
    import importlib

    import keras

    from shared_keras import training
    from shared_keras.data import datasets
    from shared_keras.models.build import keras_model
    from shared_keras.systems.mlp import Layer, perceptron

    task = importlib.import_module(f"{task_name}_keras.task").TASK
    train, _ = datasets.load(task)
    layers = [Layer(units) for units in MODELS[task_name]]
    model = keras_model(perceptron(layers, learning_rate=1e-3))
    options = {
        "batch_size": 32,
        "epochs": rounds + 1,
        "callbacks": [Gate().callback()],
        "verbose": 0,
    }
    if how == "training.fit":
        training.fit(model, train.x, train.y, **options)
        return
    # As in the originals: pixels divided in advance, into float64; activations in the layers.
    stock = keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten()])
    for units in MODELS[task_name]:
        stock.add(keras.layers.Dense(units, activation="relu"))
    stock.add(keras.layers.Dense(10, activation="softmax"))
    stock.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    stock.fit(train.x / 255.0, train.y, **options)


if __name__ == "__main__":
    if "--contender" in sys.argv:
        contend(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        main()
