"""The plain PyTorch version of every system, and its training.

Written as an experienced PyTorch user would write it: a `Sequential`, an optimizer from
`torch.optim`, a `DataLoader`, a loop. The Keras port is compared with it, so it uses nothing
of Keras. PyTorch comes with the optional extra `torch`.
"""

import copy
import math
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from scipy import special
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from shared_keras.data.datasets import Images
from shared_keras.systems import spec
from shared_keras.systems.spec import SIDE, System

VALIDATION_BATCH = 1000

ACTIVATIONS = {
    "mish": nn.Mish,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


def module(system: System) -> nn.Sequential:
    """Return the network: from normalized images, float (n, 28, 28), to logits (n, classes).

    A softmax at the end is left out, because `CrossEntropyLoss` takes logits. The
    modules are named by kind and number: dense_1, norm_1, mish_1, ...
    """
    shape = (1, SIDE, SIDE)
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    counts: Counter[str] = Counter()
    if system.takes_a_channel:
        parts["channel"] = nn.Unflatten(1, (1, SIDE))
    if system.mirrored:
        parts["mirrored"] = _WithMirrored()
    for layer in system.layers:
        if layer == spec.Activation("softmax"):
            continue
        kind, part = _part(layer, shape)
        counts[kind] += 1
        parts[f"{kind}_{counts[kind]}"] = part
        with torch.no_grad():
            part.eval()
            shape = tuple(part(torch.zeros(1, *shape)).shape[1:])
    if system.mirrored:
        parts["mean"] = _MeanOfMirrored()
    return nn.Sequential(parts).train()


def _part(layer: spec.Layer, shape: tuple[int, ...]) -> tuple[str, nn.Module]:
    match layer:
        case spec.Flatten():
            return "flatten", nn.Flatten()
        case spec.Dense(units, init, _, bias):
            return "dense", _initialized(nn.Linear(shape[0], units, bias), init)
        case spec.Conv(filters, kernel, stride, init, bias, padded):
            padding = (kernel - stride) // 2 if padded else 0
            conv = nn.Conv2d(shape[0], filters, kernel, stride, padding, bias=bias)
            return "conv", _initialized(conv, init)
        case spec.MaxPool(size):
            return "pool", nn.MaxPool2d(size)
        case spec.BatchNorm():
            return "norm", (nn.BatchNorm1d if len(shape) == 1 else nn.BatchNorm2d)(shape[0])
        case spec.Flip():
            return "flip", _Flip()
        case spec.Shift(pixels):
            return "shift", _Shift(pixels)
        case spec.Activation(name):
            return name, ACTIVATIONS[name]()
        case spec.Dropout(rate):
            return "dropout", nn.Dropout(rate)
        case spec.Noise(deviation):
            return "noise", _Noise(deviation)


class _Flip(nn.Module):
    """Mirrors half of the images, in training only."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return x
        mirrored = torch.rand(len(x), 1, 1, 1) < 0.5
        return torch.where(mirrored, x.flip(-1), x)


class _WithMirrored(nn.Module):
    """Outside training, adds the mirror images of a batch to it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if self.training else torch.cat([x, x.flip(-1)])


class _MeanOfMirrored(nn.Module):
    """Outside training, takes the mean over each image and its mirror image."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if self.training else x.reshape(2, -1, *x.shape[1:]).mean(0)


class _Noise(nn.Module):
    """Adds normal noise, in training only."""

    def __init__(self, deviation: float):
        super().__init__()
        self.deviation = deviation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.deviation * torch.randn_like(x) if self.training else x


class _Shift(nn.Module):
    """Moves each image by up to `pixels` in both directions, in training only."""

    def __init__(self, pixels: Any):
        super().__init__()
        self.pixels = pixels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return x
        n, _, height, width = x.shape
        down, right = torch.empty(2, n, 1).uniform_(-self.pixels, self.pixels).round().long()
        rows = (torch.arange(height) - down).clamp(0, height - 1)
        columns = (torch.arange(width) - right).clamp(0, width - 1)
        moved = x[torch.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
        return moved.permute(0, 3, 1, 2)


def _initialized(part: Any, init: str) -> nn.Module:
    if init == "he":
        nn.init.kaiming_normal_(part.weight, nonlinearity="leaky_relu")
    elif init == "keras":
        nn.init.xavier_uniform_(part.weight)
        nn.init.zeros_(part.bias)
    return part


def make_optimizer(system: System, network: nn.Sequential) -> torch.optim.Optimizer:
    """Return the optimizer for the network's parameters."""
    o = system.optimizer
    groups = _groups(system, network)
    match o.name:
        case "adam":
            return torch.optim.Adam(groups, lr=o.learning_rate, weight_decay=o.l2)
        case "rmsprop":
            return torch.optim.RMSprop(
                groups, lr=o.learning_rate, momentum=o.momentum, weight_decay=o.l2
            )
        case "sgd":
            return torch.optim.SGD(groups, lr=o.learning_rate)
        case "keras adam":
            adam = torch.optim.Adam(groups, lr=o.learning_rate)
            adam.register_step_pre_hook(_keras_epsilon)
            return adam


def _groups(system: System, network: nn.Sequential) -> list[dict[str, Any]]:
    """Give each kernel with a penalty c * sum(w**2) the weight decay 2c, with its gradient."""
    dense = [layer for layer in system.layers if isinstance(layer, spec.Dense)]
    linear = [part for part in network if isinstance(part, nn.Linear)]
    decays = {part.weight: 2 * layer.l2 for layer, part in zip(dense, linear) if layer.l2}
    rest = [p for p in network.parameters() if p not in decays]
    return [{"params": rest}] + [
        {"params": [weight], "weight_decay": decay} for weight, decay in decays.items()
    ]


def _keras_epsilon(adam: torch.optim.Optimizer, args: tuple, kwargs: dict) -> None:
    """Before a step of PyTorch's Adam: Keras adds epsilon before it corrects the bias."""
    for group in adam.param_groups:
        taken = [adam.state.get(p, {}).get("step", 0) for p in group["params"]]
        steps = int(max(taken, default=0)) + 1
        group["eps"] = 1e-7 / math.sqrt(1 - group["betas"][1] ** steps)


def make_scheduler(
    system: System, optimizer: torch.optim.Optimizer
) -> torch.optim.lr_scheduler.LRScheduler | None:
    """Return the learning-rate scheduler, or None."""
    schedule = system.optimizer.schedule
    if schedule is None:
        return None
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=schedule.t_max)


def normalized(system: System, x: np.ndarray) -> torch.Tensor:
    """Normalize raw images, uint8 (n, 28, 28), for the network: float (n, 28, 28)."""
    pixels = torch.tensor(x, dtype=torch.get_default_dtype())
    return (pixels / 255 - system.mean) / system.std


def train_epoch(
    system: System,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: Any,
    batches: Iterable,
) -> tuple[float, float]:
    """Train on (inputs, labels) batches; return mean loss and accuracy of the epoch."""
    network.train()
    criterion = nn.CrossEntropyLoss()
    loss_sum = correct = n = 0
    for x, y in batches:
        logits = network(x)
        loss = criterion(logits, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if schedule is not None and system.optimizer.schedule.per == "batch":
            schedule.step()
        loss_sum += loss.item() * len(y)
        correct += (logits.argmax(1) == y).sum().item()
        n += len(y)
    if schedule is not None and system.optimizer.schedule.per == "epoch":
        schedule.step()
    return loss_sum / n, correct / n


@torch.no_grad()
def logits(system: System, network: nn.Module, x: np.ndarray) -> np.ndarray:
    """Return the logits of raw images in eval mode, shape (n, classes)."""
    network.eval()
    batches = normalized(system, x).split(VALIDATION_BATCH)
    return torch.cat([network(batch) for batch in batches]).numpy()


def probabilities(system: System, network: nn.Module, x: np.ndarray) -> np.ndarray:
    """Return the class probabilities of raw images in eval mode, float64 (n, classes)."""
    return special.softmax(logits(system, network, x).astype(np.float64), axis=1)


def evaluate(system: System, network: nn.Module, images: Images) -> tuple[float, float]:
    """Return loss and accuracy in eval mode, over all images at once."""
    outputs = torch.from_numpy(logits(system, network, images.x))
    y = torch.tensor(images.y, dtype=torch.long)
    loss = nn.functional.cross_entropy(outputs, y).item()
    return loss, (outputs.argmax(1) == y).double().mean().item()


def fit(
    system: System,
    train: Images,
    validation: Images,
    *,
    batch_size: int,
    epochs: int,
    patience: int | None,
    seed: int,
    after_epoch: Callable[[int, dict], None] = lambda epoch, logs: None,
    resumed: dict | None = None,
    keep: Callable[[dict], None] = lambda state: None,
) -> tuple[nn.Sequential, dict[str, list[float]], int]:
    """Train a new network.

    Args:
        system: The system.
        train: Images to train on.
        validation: Images to evaluate after each epoch.
        batch_size: Images per step.
        epochs: Maximum number of epochs.
        patience: Epochs without a better validation accuracy before training stops;
            the best epoch is restored. None trains all epochs and keeps the last.
        seed: Determines initialisation, order and dropout.
        after_epoch: Called with the epoch, counted from zero, and its logs.
        resumed: What `keep` was given, to go on from there.
        keep: Called after each epoch with all that the next one depends on, tensors that the
            next one changes.

    Returns:
        The network, the history as Keras would name it, and the epoch, counted from
        zero, whose weights it has.
    """
    torch.manual_seed(seed)
    network = module(system)
    optimizer = make_optimizer(system, network)
    schedule = make_scheduler(system, optimizer)
    images = TensorDataset(normalized(system, train.x), torch.tensor(train.y, dtype=torch.long))
    batches = DataLoader(images, batch_size=batch_size, shuffle=True)
    history: dict[str, list[float]] = {}
    best_epoch, best_weights, over = 0, None, False
    if resumed is not None:
        network.load_state_dict(resumed["network"])
        optimizer.load_state_dict(resumed["optimizer"])
        if schedule is not None:
            schedule.load_state_dict(resumed["schedule"])
        history, over = resumed["history"], resumed["over"]
        best_epoch, best_weights = resumed["best_epoch"], resumed["best_weights"]
        torch.set_rng_state(resumed["random"])
    for epoch in range(epochs if over else len(history.get("loss", ())), epochs):
        started = time.perf_counter()
        loss, accuracy = train_epoch(system, network, optimizer, schedule, batches)
        val_loss, val_accuracy = evaluate(system, network, validation)
        logs = {
            "accuracy": accuracy,
            "loss": loss,
            "val_accuracy": val_accuracy,
            "val_loss": val_loss,
            "seconds": time.perf_counter() - started,
        }
        after_epoch(epoch, logs)
        for name, value in logs.items():
            history.setdefault(name, []).append(value)
        if patience is None:
            best_epoch = epoch
        elif val_accuracy > max(history["val_accuracy"][:-1], default=-1):
            best_epoch, best_weights = epoch, copy.deepcopy(network.state_dict())
        over = epoch + 1 == epochs or (patience is not None and epoch - best_epoch >= patience)
        keep(
            {
                "network": network.state_dict(),
                "optimizer": optimizer.state_dict(),
                "schedule": schedule and schedule.state_dict(),
                "random": torch.get_rng_state(),
                "history": history,
                "best_epoch": best_epoch,
                "best_weights": best_weights,
                "over": over,
            }
        )
        if over:
            break
    if best_weights is not None:
        network.load_state_dict(best_weights)
    return network, history, best_epoch
