"""Experiment folders as Ray Tune 2.60 writes them, with trained twins and damage.

Layout and keys match a folder that Ray itself wrote for the code of the second part of
Fashion-PyTorch.
"""

import json
from pathlib import Path

import torch

from shared_keras.comparisons.ray import assumptions, experiment
from shared_keras.data import datasets, splits
from shared_keras.pytorch import twin

CONFIG = {
    "base_lr": 0.002,
    "batch_size": 64,
    "l1_size": 24,
    "l1_drop": 0.1,
    "l2_size": 20,
    "l2_drop": 0.05,
    "l3_size": 16,
    "l3_drop": 0.1,
    "l2_rate": 1e-4,
    "t_max": 3,
    "max_epochs": 3,
}


class OriginalMLP(torch.nn.Module):
    """Fashion-PyTorch's tuned network, with its names; or with another activation and order."""

    def __init__(self, sizes, rates, activation=torch.nn.functional.mish, norm="before"):
        super().__init__()
        self.activation, self.norm = activation, norm
        ends = zip((784, *sizes), sizes)
        self.layers = torch.nn.ModuleList(torch.nn.Linear(a, b) for a, b in ends)
        self.bns = torch.nn.ModuleList(torch.nn.BatchNorm1d(size) for size in sizes)
        self.drops = torch.nn.ModuleList(torch.nn.Dropout(rate) for rate in rates)
        self.out_layer = torch.nn.Linear(sizes[-1], 10)

    def forward(self, x):
        x = x.flatten(1)
        for layer, norm, drop in zip(self.layers, self.bns, self.drops):
            first, then = norm, self.activation
            if self.norm == "after":
                first, then = then, first
            x = drop(then(first(layer(x))))
        return self.out_layer(x)


def trained(task, split, config, seed=0, assumed=None):
    """Train the original's network; return its state dict and the accuracy it would claim.

    It is built as Fashion-PyTorch's, or as `assumed` says.

    As in the original, it is the mean accuracy of the batches, in percent.
    """
    sizes = [config[f"l{i}_size"] for i in (1, 2, 3)]
    rates = [config[f"l{i}_drop"] for i in (1, 2, 3)]
    theirs = OriginalMLP(sizes, rates)
    assumed = assumed or next(assumptions.likely(task.pixels))
    described = experiment.system(config, theirs.state_dict(), assumed)
    network, _, _ = twin.fit(
        described,
        split.train,
        split.validation,
        batch_size=config["batch_size"],
        epochs=config["max_epochs"],
        patience=None,
        seed=seed,
    )
    state = dict(zip(theirs.state_dict(), _interleaved(network)))
    theirs.load_state_dict(state)
    logits = torch.from_numpy(twin.logits(described, network, split.validation.x))
    right = (logits.argmax(1) == torch.tensor(split.validation.y)).double()
    order = torch.randperm(len(right), generator=torch.Generator().manual_seed(seed))
    batches = right[order].split(config["batch_size"])
    return theirs.state_dict(), 100 * float(torch.stack([b.mean() for b in batches]).mean())


def _interleaved(network):
    """Return the twin's tensors in the order of `OriginalMLP`: layers, norms, output."""
    own = network.state_dict()
    parts = [f"dense_{i}" for i in (1, 2, 3)] + [f"norm_{i}" for i in (1, 2, 3)] + ["dense_4"]
    return [tensor for part in parts for key, tensor in own.items() if key.startswith(f"{part}.")]


def write_trial(folder, trial_id, config, accuracies, state=None, checkpoint=0):
    """Write a trial's folder: a result for each accuracy, the last with the checkpoint."""
    path = folder / f"trial_{trial_id}"
    path.mkdir(parents=True)
    (path / "params.json").write_text(json.dumps(config, indent=2))
    name = f"checkpoint_{checkpoint:06d}" if state is not None else None
    lines = [
        {
            "accuracy": accuracy,
            "timestamp": 1763700000 + i,
            "checkpoint_dir_name": name if i == len(accuracies) else None,
            "should_checkpoint": i == len(accuracies),
            "done": False,
            "training_iteration": i,
            "trial_id": trial_id,
            "time_total_s": 1.5 * i,
            "config": config,
        }
        for i, accuracy in enumerate(accuracies, 1)
    ]
    (path / "result.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
    keys = [key for key in lines[0] if key != "config"]
    rows = [",".join(str(line[key]) for key in keys) for line in lines]
    (path / "progress.csv").write_text("\n".join([",".join(keys), *rows]) + "\n")
    if state is not None:
        (path / name).mkdir()
        torch.save(state, path / name / "model.pt")
    return path


def write_state(folder, statuses):
    """Write the experiment's state: a status for each trial."""
    entries = [
        [json.dumps({"stub": False, "trial_id": trial_id, "status": status}), json.dumps({})]
        for trial_id, status in statuses.items()
    ]
    state = {"trial_data": entries, "runner_data": {}, "stats": {}}
    path = Path(folder) / "experiment_state-2026-11-21_12-47-56.json"
    path.write_text(json.dumps(state))


def small_split(task, data):
    """Return the holdout split of a folder of small data."""
    return splits.split(task, *datasets.load(task, str(data)), "holdout")
