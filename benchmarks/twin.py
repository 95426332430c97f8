"""Seconds per epoch: the Keras port beside its PyTorch twin, in one run.

    python -m benchmarks.twin [--rounds N]

The system is Fashion-PyTorch's best, 342-580-491 with BatchNorm, Mish and dropout, on
the 48,000 training images of the holdout split, without validation. The twin reads its
batches with a DataLoader, as the original does; "batches by index" is the same loop
over slices of a permuted tensor, which is the fastest that plain PyTorch offers here.
contenders.py says how they are timed. The figures go to benchmarks/results/twin.json. Needs
PyTorch.
"""

import argparse
import sys

from benchmarks import receipts
from benchmarks.contenders import Gate, measure, show, summary

RECIPE = "pytorch-tuned-2"
OURS = "port, JAX"
CONTENDERS = {
    OURS: "jax",
    "twin, DataLoader": "dataloader",
    "twin, batches by index": "index",
}
GOALS = {1024: 2.0, 32: 3.0}


def main() -> None:
    """Run the contenders in turn, for each batch size, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    cases = {}
    for batch_size, goal in GOALS.items():
        print(f"\n342-580-491, batch {batch_size}, seconds per epoch of 48,000 images")
        commands = {
            name: ["-m", "benchmarks.twin", "--contender", how, str(batch_size), str(rounds)]
            for name, how in CONTENDERS.items()
        }
        seconds, goals = measure(commands, rounds), {"twin, DataLoader": goal}
        show(seconds, OURS, goals)
        cases[str(batch_size)] = summary(seconds, OURS, goals)
    receipts.write("twin", {"rounds": rounds, "cases": cases})


def contend(how: str, batch_size: int, rounds: int) -> None:
    """Train one epoch for each line on stdin, and print its seconds."""
    from fashion_keras.task import TASK
    from shared_keras.data import datasets, splits

    system = TASK.system(TASK.recipes[RECIPE].system)
    train = splits.split(TASK, *datasets.load(TASK), "holdout").train
    if how == "jax":
        train_port(system, train, batch_size, rounds + 1)
    else:
        train_twin(system, train, batch_size, rounds + 1, how)


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
        contend(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        main()
