"""What the PyTorch side sets: modules, parameters, hooks, optimizer, scheduler, loss, loop."""

import inspect
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from port_audit.ledger import neutral
from port_audit.ledger.entries import NEUTRAL, ORIGINAL, Entry, shown

# Attributes of modules that only act in training.
TRAINS = ("p", "track_running_stats", "momentum", "dropout", "drop_prob")
STEPS = ("padding_idx", "scale_grad_by_freq", "sparse")
METHODS = ("train", "eval", "zero_grad", "requires_grad_")
LOOPS = ("train_step", "train_epoch")
HOOKS = {
    "_forward_hooks": "outputs",
    "_forward_pre_hooks": "outputs",
    "_backward_hooks": "steps",
    "_backward_pre_hooks": "steps",
}


def of(module: nn.Module, side: Any) -> Iterator[Entry]:
    """Return all settings of the original.

    Args:
        module: Its model, as it came.
        side: The side of the audit.
    """
    for name, part in module.named_modules():
        yield from _module(f"modules.{name}" if name else "model", part)
    seen = set()
    for name, parameter in module.named_parameters():
        if id(parameter) in seen:
            continue
        seen.add(id(parameter))
        trained = str(parameter.requires_grad)
        yield Entry(ORIGINAL, f"parameters.{name}.requires_grad", trained, "layers")
        if getattr(parameter, "_backward_hooks", None):
            # A copy of the module has none of them, so no stage sees what they do.
            yield Entry(ORIGINAL, f"parameters.{name}.hook", "a hook of the gradient")
    yield from _training(module, side)


def _module(path: str, part: Any) -> Iterator[Entry]:
    beside = {key: value for key, value in vars(part).items() if not key.startswith("_")}
    for key, value in beside.items():
        if key == "training" or not _simple(value):
            continue
        stage = "training mode" if key in TRAINS else "steps" if key in STEPS else "outputs"
        if key == "inplace":
            stage = "outputs"
        settled = NEUTRAL if neutral.is_neutral(key, value, beside) else None
        yield Entry(ORIGINAL, f"{path}.{key}", shown(value), stage, _default(part, key), settled)
    for name, stage in HOOKS.items():
        if hooks := getattr(part, name, None):
            spoken = ", ".join(type(hook).__name__ for hook in hooks.values())
            yield Entry(ORIGINAL, f"{path}.{name.strip('_')}", spoken, stage)
    for method in METHODS:
        for cls in type(part).__mro__:
            if method in vars(cls) and not cls.__module__.startswith("torch."):
                yield Entry(
                    ORIGINAL, f"{path}.{method}", f"own, of {cls.__name__}", "training mode"
                )
                break
    if nn.utils.parametrize.is_parametrized(part):
        for name, made in part.parametrizations.items():
            spoken = ", ".join(type(each).__name__ for each in made)
            yield Entry(ORIGINAL, f"{path}.parametrizations.{name}", spoken, "steps")


def _training(module: nn.Module, side: Any) -> Iterator[Entry]:
    if side.loss is not None:
        yield from _loss(side.loss)
    if side.optimizer is not None:
        yield from _optimizer(module, side)
    if side.preprocess is not None:
        yield Entry(ORIGINAL, "preprocess", "a function", "outputs")
    if side.clip is not None:
        yield Entry(ORIGINAL, "clip", "a function", "schedule")
    if side.batch_size is not None:
        yield Entry(ORIGINAL, "batch_size", str(side.batch_size), "batches")
    if side.drop_last:
        yield Entry(ORIGINAL, "drop_last", "True", "batches")
    if side.evaluate is not None:
        yield Entry(ORIGINAL, "evaluate", "a function", "evaluation")
    for name in LOOPS:
        if getattr(side, name, None) is not None:
            yield Entry(ORIGINAL, name, "a loop of its own", "witness")


def _loss(loss: Any) -> Iterator[Entry]:
    if not isinstance(loss, nn.Module):
        yield Entry(ORIGINAL, "loss", getattr(loss, "__name__", type(loss).__name__), "loss")
        return
    yield Entry(ORIGINAL, "loss.class", type(loss).__name__, "loss")
    for key, value in vars(loss).items():
        if not key.startswith("_") and key != "training" and _simple(value):
            yield Entry(ORIGINAL, f"loss.{key}", shown(value), "loss", _default(loss, key))
    for key, value in loss.named_buffers():
        yield Entry(ORIGINAL, f"loss.{key}", shown(value.tolist()), "loss")


def _optimizer(module: nn.Module, side: Any) -> Iterator[Entry]:
    optimizer = side.optimizer(module.parameters())
    scheduler = side.scheduler(optimizer) if side.scheduler is not None else None
    yield Entry(ORIGINAL, "optimizer.class", type(optimizer).__name__, "steps")
    several = len(optimizer.param_groups) > 1
    for index, group in enumerate(optimizer.param_groups):
        holder = f"optimizer.groups.{index}" if several else "optimizer"
        for key, value in group.items():
            if key == "params":
                continue
            settled = NEUTRAL if neutral.is_neutral(key, value, group) else None
            stage = "schedule" if key == "lr" else "steps"
            default = bool(optimizer.defaults.get(key) == value)
            yield Entry(ORIGINAL, f"{holder}.{key}", shown(value), stage, default, settled)
    for name in ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks"):
        if getattr(optimizer, name, None):
            yield Entry(ORIGINAL, f"optimizer.{name.strip('_')}", "a hook", "steps")
    if scheduler is None:
        return
    yield Entry(ORIGINAL, "scheduler.class", type(scheduler).__name__, "schedule")
    for key, value in scheduler.state_dict().items():
        if not key.startswith("_") and key not in ("last_epoch", "best", "num_bad_epochs"):
            yield Entry(ORIGINAL, f"scheduler.{key}", shown(value), "schedule")
    if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
        spoken = side.monitor or "not said, taken to be val_loss"
        yield Entry(ORIGINAL, "scheduler.monitor", spoken, "schedule")
    yield Entry(ORIGINAL, "step_scheduler_per", side.step_scheduler_per, "schedule")


def _simple(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_simple(each) for each in value)
    return value is None or isinstance(value, bool | int | float | str | torch.dtype)


def _default(part: Any, key: str) -> bool:
    try:
        parameter = inspect.signature(type(part).__init__).parameters.get(key)
        return parameter is not None and bool(parameter.default == getattr(part, key))
    except Exception:
        return False
