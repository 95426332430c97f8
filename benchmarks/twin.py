"""Seconds per epoch: the Keras port beside its PyTorch twin, in one run.

    python -m benchmarks.twin [--rounds N] [--convolutions | --sprints]

The system is Fashion-PyTorch's best, 342-580-491 with BatchNorm, Mish and dropout, on
the 48,000 training images of the holdout split, without validation. With --convolutions, it is
Lab 4's network, and our `cnn` on MNIST, on 3,200 of these images, on all cores and on one; with
--sprints, the recipes `sprint`. The twin reads its batches with a DataLoader, as the original does;
"batches by index" is the same loop over slices of a permuted tensor, which is the fastest that
plain PyTorch offers here, and the only one beside convolutional networks.
contenders.py says how they are timed. The figures go to benchmarks/results/twin.json, or
twin-convolutions.json, or twin-sprints.json. Needs PyTorch.
"""

import importlib
import os
import sys
from typing import NamedTuple

from benchmarks import receipts
from benchmarks.contenders import Gate, measure, show, summary
from shared_keras.command_line.parser import of_module, whole

OURS, QUICKEST = "port, JAX", "twin, batches by index"
CONTENDERS = {OURS: "jax", "twin, DataLoader": "dataloader", QUICKEST: "index"}


class Case(NamedTuple):
    """What is trained: a recipe of a task, its batch size, how many images, on one core or all."""

    task: str
    recipe: str
    batch_size: int
    images: int
    one_core: bool
    goal: float | None


PERCEPTRONS = {
    str(size): Case("fashion", "pytorch-tuned-2", size, 48_000, False, goal)
    for size, goal in ((1024, 2.0), (32, 3.0))
}


def _convolutions(*networks: tuple) -> dict[str, Case]:
    return {
        f"{name}, {'one core' if one_core else 'all cores'}": Case(*which, 3_200, one_core, goal)
        for name, which, goal in networks
        for one_core in (False, True)
    }


CONVOLUTIONS = _convolutions(
    ("Lab 4's CNN", ("fashion", "lab4-cnn", 64), 1.3), ("MNIST's cnn", ("mnist", "cnn", 128), 1.0)
)
SPRINTS = _convolutions(
    ("MNIST's sprint", ("mnist", "sprint", 64), None),
    ("Fashion-MNIST's sprint", ("fashion", "sprint", 64), None),
)
CASES = PERCEPTRONS | CONVOLUTIONS | SPRINTS
FILES = {"twin": PERCEPTRONS, "twin-convolutions": CONVOLUTIONS, "twin-sprints": SPRINTS}


def main() -> None:
    """Run the contenders in turn, for each case, and print a table."""
    parser = of_module(__file__, __doc__)
    parser.add_argument("--rounds", type=whole(1), default=5)
    which = parser.add_mutually_exclusive_group()
    for name in ("convolutions", "sprints"):
        which.add_argument(f"--{name}", dest="file", action="store_const", const=f"twin-{name}")
    parser.set_defaults(file="twin")
    args = parser.parse_args()
    chosen = FILES[args.file]
    cases = {}
    for name, case in chosen.items():
        cores = "one core" if case.one_core else "all cores"
        print(f"\n{case.task} {case.recipe}, batch {case.batch_size}, {cores}: ", end="")
        print(f"seconds per epoch of {case.images:,} images")
        against = "twin, DataLoader" if chosen is PERCEPTRONS else QUICKEST
        commands = {
            contender: ["-m", "benchmarks.twin", "--contender", how, name, str(args.rounds)]
            for contender, how in CONTENDERS.items()
            if contender in (OURS, QUICKEST, against)
        }
        seconds = measure(commands, args.rounds)
        goals = {} if case.goal is None else {against: case.goal}
        show(seconds, OURS, goals)
        cases[name] = summary(seconds, OURS, goals)
    receipts.write(args.file, {"rounds": args.rounds, "cases": cases})


def contend(how: str, case: Case, rounds: int) -> None:
    """Train one epoch for each line on stdin, and print its seconds."""
    if case.one_core:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # before a library counts cores
    from shared_keras.data import datasets, splits

    task = importlib.import_module(f"{case.task}_keras.task").TASK
    system = task.system(task.recipes[case.recipe].system)
    train = splits.split(task, *datasets.load(task), "holdout").train
    train = datasets.Images(train.x[: case.images], train.y[: case.images])
    if how == "jax":
        train_port(system, train, case.batch_size, rounds + 1)
    else:
        train_twin(system, train, case.batch_size, rounds + 1, how)


def train_port(system, train, batch_size, epochs):
    """Train the Keras model."""
    from shared_keras import training
    from shared_keras.models.build import keras_model, schedule_callbacks

    training.fit(
        keras_model(system),
        train.x,
        train.y,
        batch_size=batch_size,
        epochs=epochs,
        callbacks=[*schedule_callbacks(system), Gate().callback()],
    )


def train_twin(system, train, batch_size, epochs, how):
    """Train the PyTorch network."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    from shared_keras.pytorch import twin

    network = twin.module(system)
    optimizer = twin.make_optimizer(system, network)
    schedule = twin.make_scheduler(system, optimizer)
    x, y = twin.normalized(system, train.x), torch.as_tensor(train.y, dtype=torch.long)
    loader = DataLoader(TensorDataset(x, y), batch_size=batch_size, shuffle=True)
    gate = Gate()
    for _ in range(epochs):
        gate.begin()
        batches = loader
        if how == "index":
            batches = ((x[i], y[i]) for i in torch.randperm(len(x)).split(batch_size))
        twin.train_epoch(system, network, optimizer, schedule, batches)
        gate.end()


if __name__ == "__main__":
    if "--contender" in sys.argv:
        contend(sys.argv[2], CASES[sys.argv[3]], int(sys.argv[4]))
    else:
        main()
