"""Pairs made at random: 1 to 8 layers, an optimizer, a schedule, a loss, clipping, callbacks.

`draw` is anything that chooses: `random.Random(seed).choice`, or hypothesis.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np
import torch
from keras import layers
from torch import nn

from port_audit import KerasSide, TorchSide
from shared_keras.models import optimizers
from shared_keras.models.optimizers import CosineAnnealing
from tests.port_audit.generated_layers import (
    ACTIVATIONS,
    Part,
    keras_parts,
    shape_behind,
    torch_part,
)
from tests.port_audit.parts import compiled, dense, images, rows, words
from tests.port_audit.plain_pairs import AdagradAsInTorch

Draw = Callable[[Sequence[Any]], Any]
CLASSES = 4
SHAPES = {"rows": (20,), "images": (10, 10, 3), "words": (7,)}
SMOOTHING = 0.1


@dataclass(frozen=True)
class Made:
    """A pair: what both sides have, and what the Keras side has otherwise.

    Attributes:
        seed: Of the data and the initial values.
        family: "rows", "images" or "words".
        parts: The layers, without the last Dense.
        training: Optimizer, schedule, loss, clipping, batch size: options by name.
        wrong: What of it the Keras side has otherwise.
        fault: Name of what was planted, or "".
    """

    seed: int
    family: str
    parts: tuple[Part, ...]
    training: dict[str, Any]
    wrong: dict[str, Any] = field(default_factory=dict)
    fault: str = ""

    def __str__(self) -> str:
        shown = ", ".join(f"{k}={v}" for k, v in self.training.items() if v is not None)
        behind = f"; planted: {self.fault}" if self.fault else ""
        return (
            f"seed {self.seed}, {self.family}: {' - '.join(map(str, self.parts))}; {shown}{behind}"
        )

    @property
    def ours(self) -> dict[str, Any]:
        """Return how the Keras side is trained."""
        return self.training | self.wrong

    @property
    def shapes(self) -> list[tuple]:
        """Return what reaches each layer and, last, the Dense at the end."""
        found = [SHAPES[self.family]]
        for part in self.parts:
            found.append(shape_behind(part, found[-1]))
        return found

    def sides(self) -> tuple[TorchSide, KerasSide, np.ndarray, np.ndarray]:
        """Return what is audited."""
        make = {"rows": rows, "images": lambda seed: images(seed, 10, 3), "words": words}
        x, y = make[self.family](self.seed)
        if self.training["loss"] in ("mse", "huber"):
            y = np.random.default_rng(self.seed + 1).normal(size=(len(x), CLASSES))
            y = y.astype("float32")
        return self._theirs(), self._ours(), x, y

    def _theirs(self) -> TorchSide:
        t, shapes = self.training, self.shapes

        def model():
            made = [torch_part(part, shape) for part, shape in zip(self.parts, shapes)]
            return nn.Sequential(*made, nn.Linear(shapes[-1][0], CLASSES))

        losses = {
            "classes": nn.CrossEntropyLoss(),
            "smoothed": nn.CrossEntropyLoss(label_smoothing=SMOOTHING),
            "sum": nn.CrossEntropyLoss(reduction="sum"),
            "mse": nn.MSELoss(),
            "huber": nn.HuberLoss(),
        }
        clips = {
            None: None,
            "norm": lambda p: nn.utils.clip_grad_norm_(p, t["limit"]),
            "value": lambda p: nn.utils.clip_grad_value_(p, t["limit"]),
        }
        return TorchSide(
            model,
            losses[t["loss"]],
            lambda parameters: _torch_optimizer(t, parameters),
            None if t["schedule"] is None else lambda o: _torch_schedule(t, o),
            batch_size=t["batch_size"],
            step_scheduler_per="batch" if t["schedule"] in PER_BATCH else "epoch",
            clip=clips[t["clip"]],
            monitor="val_loss" if t["schedule"] == "plateau" else None,
        )

    def _ours(self) -> KerasSide:
        t, shapes = self.ours, self.shapes

        def model():
            shape = (3, 10, 10) if self.family == "images" else SHAPES[self.family]
            dtype = "int32" if self.family == "words" else None
            inputs = keras.Input(shape, dtype=dtype)
            x = layers.Permute((2, 3, 1))(inputs) if self.family == "images" else inputs
            for part, each in zip(self.parts, shapes):
                for layer in keras_parts(part, each):
                    x = layer(x)
            outputs = dense(CLASSES, shapes[-1][0], t.get("end"))(x)
            cls = {"train": keras.Model, "clipped": _Halved}[t.get("step", "train")]
            made = cls(inputs, outputs)
            return compiled(made, _keras_optimizer(t), _keras_loss(t), metrics=())

        return KerasSide(
            model,
            batch_size=t["batch_size"],
            callbacks=lambda: _callbacks(t),
            class_weight=t.get("class_weight"),
        )


PER_BATCH = ("exponential", "cosine")
PLAIN = {  # of an optimizer: what is drawn
    "sgd": {"rate": (0.1, 0.03), "momentum": (0.0, 0.9), "nesterov": (False, True)},
    "adam": {"rate": (1e-2, 1e-3), "beta": (0.999, 0.99), "amsgrad": (False, True)},
    "rmsprop": {"rate": (1e-3,), "rho": (0.99, 0.9), "momentum": (0.0, 0.9)},
    "adagrad": {"rate": (0.05,)},
}


def drawn(draw: Draw, seed: int) -> Made:
    """Return a faithful pair."""
    family = draw(list(SHAPES))
    parts = tuple(_parts(draw, family))
    return Made(seed, family, parts, _training(draw))


def of_seed(seed: int) -> Made:
    """Return the faithful pair of a seed."""
    return drawn(random.Random(seed).choice, seed)


def _training(draw) -> dict[str, Any]:
    name = draw(list(PLAIN))
    made = {key: draw(values) for key, values in PLAIN[name].items()}
    if name == "sgd" and not made["momentum"]:
        made["nesterov"] = False
    decays = {"sgd": (0.0, 1e-2), "adam": (0.0, 1e-2, "decoupled")}.get(name, (0.0,))
    loss = draw(("classes", "smoothed", "mse", "huber", "sum"))
    if loss == "sum":
        made["rate"] /= 30
    schedules = (None, None, "steps", "exponential", "cosine", "plateau")
    if name == "sgd" and made["momentum"]:
        schedules = (None, "torch momentum")[:1]  # Keras keeps rate times gradient: they part
    clip = draw((None, None, "norm", "value"))
    return {
        "optimizer": name,
        **made,
        "decay": draw(decays),
        "loss": loss,
        "schedule": draw(schedules),
        "clip": clip,
        "limit": {None: None, "norm": draw((1.0, 0.3)), "value": 0.02}[clip],
        "batch_size": draw((32, 64, 50)),
    }


def _parts(draw, family) -> list[Part]:
    shape, parts = SHAPES[family], []
    count = draw(range(1, 8))

    def add(part):
        nonlocal shape
        parts.append(part)
        shape = shape_behind(part, shape)

    if family == "words":
        add(Part("embedding", {"words": 30, "units": draw((6, 8))}))
        while len(parts) < count - 1 and draw((True, True, False)):
            add(_of_series(draw, shape))
        if len(shape) > 1:
            last = draw(("mean", "gru", "lstm"))
            add(Part("mean") if last == "mean" else _recurrent(draw, last, False))
    if family == "images":
        while len(parts) < count and draw((True, True, True, False)):
            add(_of_maps(draw, shape, parts))
        add(Part(draw(("global", "flatten"))))
    while len(parts) < count:
        add(_of_rows(draw, shape, parts))
    return parts


def _activation(draw) -> Part:
    return Part("activation", {"name": draw(list(ACTIVATIONS))})


def _norm(draw) -> Part:
    options = {"epsilon": draw((1e-5, 1e-3)), "momentum": draw((0.1, 0.3)), "affine": True}
    return Part("batch norm", options | {"affine": draw((True, True, False))})


def _of_rows(draw, shape, parts) -> Part:
    weighted = parts and parts[-1].kind in ("linear", "batch norm", "layer norm", "conv")
    kinds = ["linear", "linear", "activation"] if weighted else ["linear"]
    kinds += ["batch norm", "layer norm", "dropout", "block"]
    if parts and parts[-1].kind == "linear":
        kinds += ["prelu", "activation", "activation"]
    match draw(kinds):
        case "linear":
            return Part("linear", {"units": draw((8, 12, 16)), "bias": draw((True, True, False))})
        case "activation":
            return _activation(draw)
        case "batch norm":
            return _norm(draw)
        case "layer norm":
            return Part("layer norm", {"epsilon": draw((1e-5, 1e-3))})
        case "dropout":
            return Part("dropout", {"rate": draw((0.2, 0.5))})
        case "prelu":
            return Part("prelu")
    return Part("block", {"hidden": draw((8, 12))})


def _of_maps(draw, shape, parts) -> Part:
    kinds = ["conv", "conv"]
    if parts:
        kinds += ["batch norm", "activation", "maps dropout"]
        kinds += ["group norm"] * (shape[-1] % 2 == 0) + ["transposed"] * (shape[0] < 8)
        kinds += ["max pool", "average pool"] * (shape[0] >= 4)
    match draw(kinds):
        case "batch norm":
            return _norm(draw)
        case "activation":
            return _activation(draw)
        case "maps dropout":
            return Part("maps dropout", {"rate": 0.2})
        case "group norm":
            return Part("group norm", {"groups": 2, "epsilon": draw((1e-5, 1e-3))})
        case "transposed":
            return Part("transposed", {"filters": draw((4, 6)), "kernel": 2, "stride": 2})
        case "max pool":
            return Part("max pool", {"size": 2})
        case "average pool":
            return Part("average pool", {"size": 2})
    return _conv(draw, shape)


def _of_series(draw, shape) -> Part:
    match draw(("conv", "gru", "lstm", "layer norm", "linear", "activation", "dropout")):
        case "conv":
            part = _conv(draw, shape)
            return replace(part, options=part.options | {"stride": 1, "padding": 1, "dilation": 1})
        case "layer norm":
            return Part("layer norm", {"epsilon": 1e-5})
        case "linear":
            return Part("linear", {"units": draw((6, 8)), "bias": True})
        case "activation":
            return _activation(draw)
        case "dropout":
            return Part("dropout", {"rate": 0.2})
        case kind:
            return _recurrent(draw, kind, True)


def _recurrent(draw, kind, whole) -> Part:
    return Part(kind, {"units": draw((5, 6)), "bias": kind == "gru", "whole": whole})


def _conv(draw, shape) -> Part:
    roomy = min(shape[:-1]) >= 6
    stride = draw((1, 2)) if roomy else 1
    return Part(
        "conv",
        {
            "filters": draw((4, 6)),
            "kernel": 3,
            "stride": stride,
            "padding": draw((0, 1)) if roomy else 1,
            "dilation": draw((1, 1, 2)) if roomy and stride == 1 else 1,
            "bias": draw((True, True, False)),
            "depthwise": draw((False, False, True)),
        },
    )


# How both sides train.


def _torch_optimizer(t, parameters):
    decay = t["decay"] if t["decay"] != "decoupled" else 0.05
    match t["optimizer"]:
        case "sgd":
            return torch.optim.SGD(
                parameters, t["rate"], t["momentum"], weight_decay=decay, nesterov=t["nesterov"]
            )
        case "adam":
            kind = torch.optim.AdamW if t["decay"] == "decoupled" else torch.optim.Adam
            options = {"betas": (0.9, t["beta"]), "amsgrad": t["amsgrad"], "weight_decay": decay}
            return kind(parameters, t["rate"], **options)
        case "rmsprop":
            return torch.optim.RMSprop(parameters, t["rate"], t["rho"], momentum=t["momentum"])
    return torch.optim.Adagrad(parameters, t["rate"])


# On TensorFlow, Keras fails to train where an optimizer's class begins with an underscore.
class SGDWithL2(keras.optimizers.SGD):
    """SGD with PyTorch's L2."""

    def __init__(self, *args, l2=0.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.l2 = l2

    def update_step(self, gradient, variable, learning_rate):
        super().update_step(gradient + self.l2 * variable, variable, learning_rate)

    def get_config(self):
        return super().get_config() | {"l2": self.l2}


class AdamAsInTorch(keras.optimizers.Adam):
    """Adam with PyTorch's L2, and epsilon where PyTorch has it."""

    def __init__(self, *args, l2=0.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.l2 = l2

    def update_step(self, gradient, variable, learning_rate):
        step = keras.ops.cast(self.iterations + 1, variable.dtype)
        epsilon = self.epsilon
        self.epsilon = epsilon * keras.ops.sqrt(1 - self.beta_2**step)
        super().update_step(gradient + self.l2 * variable, variable, learning_rate)
        self.epsilon = epsilon

    def get_config(self):
        return super().get_config() | {"l2": self.l2}


def _keras_optimizer(t):
    decay = t["decay"]
    rate = _keras_rate(t)
    common: dict[str, Any] = dict(t.get("base", {}))
    if t["clip"] is not None:
        common |= {{"norm": "global_clipnorm", "value": "clipvalue"}[t["clip"]]: t["limit"]}
    if "clipnorm" in common:
        common.pop("global_clipnorm", None)
    if decay == "decoupled":
        common["weight_decay"] = t.get("amount", 0.05)
    l2 = decay if decay != "decoupled" else 0.0
    match t["optimizer"]:
        case "sgd":
            return SGDWithL2(rate, t["momentum"], t["nesterov"], l2=l2, **common)
        case "adam":
            kind = keras.optimizers.Adam if t.get("stock") else AdamAsInTorch
            own = {} if t.get("stock") else {"l2": l2}
            options = {"beta_2": t["beta"], "epsilon": t.get("epsilon", 1e-8), **own}
            return kind(rate, amsgrad=t["amsgrad"], **options, **common)
        case "rmsprop":
            return optimizers.RMSprop(rate, rho=t["rho"], momentum=t["momentum"], **common)
    start = t.get("accumulator", 0.0)
    return AdagradAsInTorch(rate, initial_accumulator_value=start, epsilon=1e-10, **common)


def _torch_schedule(t, optimizer):
    schedules = torch.optim.lr_scheduler
    match t["schedule"]:
        case "steps":
            return schedules.StepLR(optimizer, 2, 0.5)
        case "exponential":
            return schedules.ExponentialLR(optimizer, 0.97)
        case "cosine":
            return schedules.CosineAnnealingLR(optimizer, 12)
    return schedules.ReduceLROnPlateau(optimizer, factor=0.5, patience=1, threshold=0, eps=0)


def _keras_rate(t):
    rate = t["rate"]
    match t["schedule"]:
        case "exponential":
            gamma = t.get("gamma", 0.97)
            return keras.optimizers.schedules.ExponentialDecay(rate, 1, gamma)
        case "cosine":
            return CosineAnnealing(rate, t.get("period", 12))
    return rate


def _callbacks(t) -> list[keras.callbacks.Callback]:
    rate, found = t["rate"], []
    if t["schedule"] == "steps":
        every, gamma, late = t.get("every", 2), t.get("gamma", 0.5), t.get("late", 0)
        course = lambda e: rate * gamma ** (max(0, e - late) // every)  # noqa: E731
        found.append(keras.callbacks.LearningRateScheduler(course))
    if t["schedule"] == "plateau":
        patience = t.get("patience", 2)
        found.append(
            keras.callbacks.ReduceLROnPlateau(
                "val_loss", factor=0.5, patience=patience, min_delta=0
            )
        )
    if t.get("callback") is not None:
        found.append(t["callback"]())
    return found


def _keras_loss(t):
    losses = keras.losses
    match t["loss"]:
        case "classes":
            return losses.SparseCategoricalCrossentropy(from_logits=t.get("logits", True))
        case "smoothed":
            smoothing = t.get("smoothing", SMOOTHING)
            return losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
        case "sum":
            reduction = t.get("reduction", "sum")
            return losses.SparseCategoricalCrossentropy(from_logits=True, reduction=reduction)
        case "mse":
            return losses.MeanSquaredError()
    return losses.Huber(delta=t.get("delta", 1.0))


class _Halved(keras.Model):
    """A model whose own `compute_loss` does something else."""

    def compute_loss(self, *args, **kwargs):
        return 0.5 * super().compute_loss(*args, **kwargs)
