"""Where the seconds of one trial go: building, tracing, compiling, training, writing.

    python -m benchmarks.trial [--task mnist] [--space dense] [--trials N]

It runs on JAX, on one core and one thread, as a worker does, and prints medians over the
trials of a search, without the first. `XLA_FLAGS`, if set, replace a worker's flags.
"""

import importlib
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from shared_keras.command_line.parser import of_module, whole

os.environ |= {"KERAS_BACKEND": "jax", "TF_CPP_MIN_LOG_LEVEL": "3"}
BATCH = 32


def main() -> None:
    """Go through trials and print the median of each step."""
    parser = of_module(__file__, __doc__)
    parser.add_argument("--task", choices=["mnist", "fashion"], default="mnist")
    parser.add_argument("--space", choices=["dense", "regularized"], default="dense")
    parser.add_argument("--trials", type=whole(1), default=6)
    args = parser.parse_args()

    from shared_keras.data import datasets, splits
    from shared_keras.processes import local_pool as workers

    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    os.environ.setdefault("XLA_FLAGS", workers.XLA_FLAGS)

    task = importlib.import_module(f"{args.task}_keras.task").TASK
    split = splits.split(task, *datasets.load(task), "holdout")
    space = task.builder(args.space)
    rows = [_trial(space, hp, split) for hp in _draws(space, args.trials + 1)]
    for name in rows[0]:
        print(f"  {name:28} {1000 * statistics.median(row[name] for row in rows[1:]):6.0f} ms")


def _draws(space, count: int) -> Iterator:
    """Yield the hyperparameters of the first trials of a search."""
    import keras_tuner

    from shared_keras.hyperband.tuner import Hyperband

    with tempfile.TemporaryDirectory() as folder:
        tuner = Hyperband(space, max_epochs=2**7, factor=2, directory=folder)
        for i in range(count):
            values = tuner.oracle.create_trial(f"worker{i}").hyperparameters.values
            hp = keras_tuner.HyperParameters()
            hp.values = values
            yield hp


def _trial(space, hp, split) -> dict[str, float]:
    """Return the seconds of each step of a trial."""
    import jax
    import numpy as np

    from shared_keras import training
    from shared_keras.models import initializers
    from shared_keras.training import checkpoints, jax_epoch
    from shared_keras.training.plan import VALIDATION_BATCH

    seconds = {}

    def step(name, work, *arguments):
        started = time.perf_counter()
        result = jax.block_until_ready(work(*arguments))
        seconds[name] = time.perf_counter() - started
        return result

    training.seed_layers(0)
    model = step("build the model", space.build, hp)
    with initializers.constants():
        a_batch = split.train.x[:BATCH], split.train.y[:BATCH]
        step("build optimizer and metrics", model._symbolic_build, None, a_batch)
    state = (model.trainable_variables, model.non_trainable_variables)
    training_state = (*state, model.optimizer.variables, model.metrics_variables)
    for kind, variables, of_a_batch, size, options, images in (
        ("training", training_state, jax_epoch.train_step(model), BATCH, None, split.train),
        (
            "validation",
            (*state, model.metrics_variables),
            jax_epoch.test_step(model),
            VALIDATION_BATCH,
            jax_epoch.validation_options(model),
            split.validation,
        ),
    ):
        order = np.arange(len(images), dtype=np.int32)
        arguments = (jax_epoch.values_of(variables), jax.device_put((images.x, images.y)), order)
        program = jax_epoch.over_batches(of_a_batch, size, options)
        lowered = step(f"{kind}: trace and lower", program.lower, *arguments)
        compiled = step(f"{kind}: compile", lowered.compile)
        copies = jax.tree.map(jax.numpy.array, arguments)  # the state is donated
        step(f"{kind}: an epoch", compiled, *copies)
    with tempfile.TemporaryDirectory() as folder:
        step("write the state", checkpoints.save, Path(folder, "state.npz"), model)
        path = Path(folder, "checkpoint.weights.h5")
        step("write the checkpoint", checkpoints.save_weights, path, model)
    return seconds


if __name__ == "__main__":
    main()
