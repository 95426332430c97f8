"""What can be planted in a pair made at random: a name, the names that are right, and the pair."""

from collections.abc import Iterator
from dataclasses import replace

import keras
from keras import layers

from tests.port_audit.generated_layers import ACTIVATIONS, Part
from tests.port_audit.generated_pairs import Draw, Made

LOCATED = {"unexplained"}


class _Shrinking(keras.callbacks.Callback):
    """Makes the first weight smaller after each epoch."""

    def on_epoch_end(self, epoch, logs=None):
        variable = self.model.trainable_variables[0]
        variable.assign(0.9 * variable.value)


class _Halving(keras.callbacks.Callback):
    """Halves the rate at the end."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2 and hasattr(self.model.optimizer._learning_rate, "assign"):
            rate = self.model.optimizer._learning_rate
            rate.assign(0.5 * rate.value)


def planted(draw: Draw, pair: Made) -> tuple[Made, frozenset[str]]:
    """Plant one fault.

    Returns:
        The pair, and the names of causes, each of which would be right.
    """
    faults = list(possible(draw, pair))
    name = draw(sorted({name for name, _, _ in faults}))
    _, changed, right = draw([each for each in faults if each[0] == name])
    return replace(changed, fault=name), frozenset(right)


def possible(draw: Draw, pair: Made) -> Iterator[tuple[str, Made, set[str]]]:
    """Return all faults that a pair can have."""
    for index, part in enumerate(pair.parts):
        for name, wrong, right in _of_part(draw, part, pair, index):
            changed = replace(part, wrong=wrong)
            parts = (*pair.parts[:index], changed, *pair.parts[index + 1 :])
            yield f"{part.kind}: {name}", replace(pair, parts=parts), right
    for name, wrong, right in _of_training(draw, pair):
        yield name, replace(pair, wrong=wrong), right


def _of_part(draw, part: Part, pair, index) -> Iterator[tuple[str, dict, set[str]]]:
    o = part.options
    weighted = part.kind in ("linear", "conv", "embedding", "gru", "lstm", "transposed", "prelu")
    if weighted:
        yield "frozen", {"frozen": True}, {"frozen"}
        yield "gradient", {"gradient": draw((0.5, 0.98))}, LOCATED | {"gradient scale"}
        yield "activity", {"regularizer": 0.01}, LOCATED | {"activity regularizer"}
    match part.kind:
        case "linear":
            yield "bias", {"bias": not o["bias"]}, {"bias"}
            yield "constraint", {"limit": 0.3}, LOCATED | {"constraint", "kernel constraint"}
            yield "layer too many", {"extra": lambda: layers.Dense(o["units"])}, {"extra layer"}
        case "activation":
            name = draw([each for each in ACTIVATIONS if each != o["name"]])
            yield "another", {"name": name}, {"activation", "slope", "shape"}
            yield "forgotten", {"lost": True}, {"activation"}
            yield (
                "twice",
                {"extra": lambda: layers.Activation(ACTIVATIONS[o["name"]][1])},
                {"activation"},
            )
        case "dropout" | "maps dropout":
            yield "rate", {"rate": o["rate"] / 2}, {"dropout rate"}
            yield "forgotten", {"lost": True}, {"missing dropout", "dropout place"}
        case "batch norm":
            yield "epsilon", {"epsilon": o["epsilon"] * 10}, {"epsilon"}
            yield "momentum", {"momentum": 0.01}, {"momentum"}
            yield "biased", {"biased": True}, {"running variance"}
            yield "frozen", {"frozen": True}, {"frozen", "frozen batch norm"}
            yield "affine", {"affine": not o["affine"]}, {"gamma", "beta"}
        case "layer norm" | "group norm":
            yield "epsilon", {"epsilon": o["epsilon"] * 10}, {"epsilon"}
            if part.kind == "group norm" and pair.shapes[index][-1] % 4 == 0:
                yield "groups", {"groups": 4}, {"groups"}
        case "block":
            yield "no residual", {"plain": True}, {"residual"}
        case "conv":
            if o["stride"] == 2 and o["padding"] == 1 and o["dilation"] == 1:
                yield "same", {"same": True}, {"padding"}
            if o["dilation"] == 2:
                yield (
                    "dilation",
                    {"dilation": 1, "padding": max(0, o["padding"] - 1)},
                    {
                        "dilation",
                        "padding",
                        "shape",
                    },
                )
        case "average pool" | "global":
            yield "maximum", {"max": True}, {"pooling", *LOCATED}
        case "gru":
            yield "reset_after", {"reset_after": False}, {"reset_after", "bias"}
        case "lstm":
            yield "gate", {"gate": "hard_sigmoid"}, {"recurrent activation"}


def _of_training(draw, pair: Made) -> Iterator[tuple[str, dict, set[str]]]:
    t = pair.training
    yield "rate", {"rate": t["rate"] * draw((0.5, 1.05))}, {"learning rate"}
    yield "own compute_loss", {"step": "clipped"}, LOCATED | {"learning rate", "compute_loss"}
    yield "a callback that changes weights", {"callback": _Shrinking}, {"callback"}
    if t["schedule"] in (None, "steps"):
        right = {"callback", "schedule extra", "schedule"}
        yield "a callback that changes the rate", {"callback": _Halving}, right
    yield (
        "base: accumulation",
        {"base": {"gradient_accumulation_steps": 2}},
        LOCATED | {"gradient accumulation"},
    )
    ema = {"use_ema": True, "ema_momentum": 0.9, "ema_overwrite_frequency": 3}
    yield "base: average", {"base": ema}, {"moving average of weights"}
    if t["clip"] is None:
        yield "clipping", {"base": {"global_clipnorm": 0.05}}, {"clipping"}
    else:
        yield "clipping forgotten", {"clip": None}, {"clipping"}
        yield "clipping limit", {"limit": t["limit"] / 2}, {"clipping"}
    if t["decay"] == 0 and t["optimizer"] != "adagrad":
        yield "decay", {"base": {"weight_decay": 0.01}}, {"weight decay", "decoupled decay"}
    if t["decay"] not in (0, "decoupled"):
        yield "decay forgotten", {"decay": 0.0}, {"weight decay", "decay of biases"}
    if t["decay"] == "decoupled":
        yield "decay amount", {"amount": 0.004}, {"weight decay"}
        yield "coupled decay", {"decay": 0.05}, {"coupled decay"}
    match t["optimizer"]:
        case "sgd":
            yield "momentum", {"momentum": 0.5}, {"optimizer momentum", "nesterov"}
            if t["momentum"]:
                yield "nesterov", {"nesterov": not t["nesterov"]}, {"nesterov"}
        case "adam":
            yield "beta", {"beta": 0.95}, {"betas"}
            yield "epsilon", {"epsilon": 1e-5}, {"optimizer epsilon"}
            yield "amsgrad", {"amsgrad": not t["amsgrad"]}, {"amsgrad"}
            if t["decay"] in (0, "decoupled"):
                yield "stock", {"stock": True}, {"epsilon place"}
        case "rmsprop":
            yield "rho", {"rho": 0.95}, {"rho"}
        case "adagrad":
            yield "accumulator", {"accumulator": 0.1}, {"accumulator"}
    yield from _of_schedule(t)
    yield from _of_loss(t)


def _of_schedule(t) -> Iterator[tuple[str, dict, set[str]]]:
    parted = {"schedule shifted", "schedule factor", "schedule", "gamma", *LOCATED}
    parted |= {"schedule decay_rate", "schedule t_max"}
    match t["schedule"]:
        case "steps":
            yield "schedule: gamma", {"gamma": 0.9}, parted
            yield "schedule: late", {"late": 1}, parted
            yield "schedule: forgotten", {"schedule": None}, {"schedule missing"}
        case "exponential":
            yield "schedule: gamma", {"gamma": 0.99}, parted
        case "cosine":
            yield "schedule: period", {"period": 20}, parted
        case "plateau":
            yield "schedule: patience", {"patience": 1}, {"patience", *parted}


def _of_loss(t) -> Iterator[tuple[str, dict, set[str]]]:
    match t["loss"]:
        case "classes":
            yield "loss: logits", {"logits": False}, {"from_logits"}
            yield "loss: softmax twice", {"end": "softmax"}, {"softmax twice", "activation"}
            weights = {"class_weight": {0: 1.0, 1: 2.0, 2: 1.0, 3: 0.5}}
            yield "loss: weights", weights, {"class weights"}
        case "smoothed":
            yield "loss: smoothing", {"smoothing": 0.0}, {"label smoothing"}
        case "sum":
            yield "loss: reduction", {"reduction": "sum_over_batch_size"}, {"reduction"}
        case "mse":
            yield "loss: another", {"loss": "huber"}, {"loss"}
        case "huber":
            yield "loss: delta", {"delta": 0.5}, {"delta"}
