"""PyTorch's side of the witness: the usual loop, or the original's own."""

import contextlib
import copy
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from port_audit.courses import is_plateau
from port_audit.distances import EPS
from port_audit.ledger.entries import ORIGINAL, Entry
from port_audit.nets import torch_net
from port_audit.nets.chance import WithoutChance, quiet
from port_audit.nets.held import Held, hooks
from port_audit.pair import Pair
from port_audit.samples import call, take
from port_audit.witness.plan import Plan

# Relative to the largest gradient. Even in float64 some things are float32: numbers on TensorFlow,
# and whatever the user's code casts.
FINE, COARSE = EPS, 16 * EPS


class Original:
    """The original, trained step by step."""

    def __init__(self, pair: Pair, plan: Plan, dtype: str, disturbed: bool = False):
        """Make a copy that is about to train.

        Args:
            pair: Both sides.
            plan: What it trains on.
            dtype: "float64" or "float32".
            disturbed: Whether gradients and rates are off by as much as rounding in float32.
        """
        self.pair, self.plan, self.dtype = pair, plan, dtype
        self.module = copy.deepcopy(pair.torch.module)
        self.loss = copy.deepcopy(pair.theirs.loss) if _is_module(pair) else pair.theirs.loss
        if dtype == "float64":
            self.module.double()
            if isinstance(self.loss, nn.Module):
                self.loss.double()
        self.module.train()
        self.quieted = quiet(self.module, self._inputs(plan.chosen(0)[:2]))
        self.module.train()
        self.optimizer = pair.theirs.optimizer(self.module.parameters())
        made = pair.theirs.scheduler
        self.scheduler = made(self.optimizer) if made is not None else None
        self.losses: list[float] = []
        functions = dict(_functions(pair)) | {"loss": self.loss}
        self.held = Held(functions | dict(hooks(self.module, self.optimizer)))
        self.state = self.held.start
        if disturbed:
            self._disturb()

    @property
    def rate(self) -> float:
        """Return the learning rate of the first group."""
        return float(self.optimizer.param_groups[0]["lr"])

    def values(self) -> dict[str, np.ndarray]:
        """Return all parameters and buffers by name, as they are until the next step."""
        net = copy.copy(self.pair.torch)
        net.module = self.module
        return net.values(copies=False)

    def step(self, step: int) -> float | None:
        """Train on a batch of an epoch; return the loss, if it is known."""
        batch = self._batch(self.plan.chosen(step))
        with WithoutChance(), self._holding():
            if self.pair.theirs.train_step is not None:
                value = self.pair.theirs.train_step(self.module, batch, self.optimizer)
            else:
                value = self._usual(batch)
        if self.scheduler is not None and self.pair.theirs.step_scheduler_per == "batch":
            self._move()
        value = _number(value)
        if value is not None:
            self.losses.append(value)
        return value

    def epoch(self) -> None:
        """Train for an epoch by the original's own loop."""
        batches = [self._batch(self.plan.chosen(step)) for step in range(self.plan.steps)]
        with WithoutChance(), self._holding():
            value = self.pair.theirs.train_epoch(self.module, batches, self.optimizer)
        if (value := _number(value)) is not None:
            self.losses.append(value)
        if self.scheduler is not None and self.pair.theirs.step_scheduler_per == "batch":
            for _ in range(self.plan.steps):
                self._move()

    def end_epoch(self, watched: str = "val_loss") -> None:
        """Do what an epoch ends with: move the rate, and leave out the steps that are not taken.

        Args:
            watched: What a plateau scheduler watches, such as "loss"; no accuracy is known here.
        """
        if self.scheduler is not None and self.pair.theirs.step_scheduler_per == "epoch":
            if is_plateau(self.scheduler):
                value = self.validation() if watched.startswith("val") else np.mean(self.losses)
                self.scheduler.step(float(value))
            else:
                self._move()
        self.losses.clear()
        if self.plan.jump:
            for state in self.optimizer.state.values():
                if "step" in state:
                    state["step"] += self.plan.jump

    def validation(self) -> float:
        """Return the loss of the first batch, in eval mode."""
        inputs, y = self._batch(self.plan.chosen(0))
        self.module.eval()
        with torch.no_grad():
            value = self.loss(call(self.module, inputs), y)
        self.module.train()
        return float(value)

    @contextlib.contextmanager
    def _holding(self) -> Iterator[None]:
        """Let functions go on with what they kept for this original: two of them train in turn."""
        self.held.restore(self.state)
        try:
            yield
        finally:
            self.state = self.held.values()

    def late(self) -> Iterator[Entry]:
        """Return what may act later than it was trained."""
        text = "it changes from step to step, so what it does late is not seen"
        for path in self.held.counting(self.state):
            yield Entry(ORIGINAL, path, text)
        if not type(self.optimizer).__module__.startswith("torch."):
            text = "of a class of its own, so what it does late is not seen"
            yield Entry(ORIGINAL, "optimizer", text)

    def _usual(self, batch: tuple[Any, Any]) -> torch.Tensor:
        inputs, y = batch
        self.optimizer.zero_grad()
        value = self.loss(call(self.module, inputs), y)
        value = value.sum() if value.ndim else value
        value.backward()
        if self.pair.theirs.clip is not None:
            self.pair.theirs.clip(list(self.module.parameters()))
        self.optimizer.step()
        self.optimizer.zero_grad()
        return value.detach()

    def _move(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                self.scheduler.step()
            except ValueError:  # OneCycleLR has come to its end
                self.scheduler = None

    def _inputs(self, rows: np.ndarray) -> Any:
        inputs = self.pair.torch_batch(rows)
        return torch_net.doubled(inputs) if self.dtype == "float64" else inputs

    def _batch(self, rows: np.ndarray) -> tuple[Any, Any]:
        first = self.pair.trace.output
        shaped = None
        if isinstance(first, torch.Tensor):
            shaped = torch.empty((len(rows), *first.shape[1:]), device="meta")
        y = self.pair.torch_labels(take(self.pair.y, rows), shaped)
        return self._inputs(rows), torch_net.doubled(y) if self.dtype == "float64" else y

    def _disturb(self) -> None:
        """Let each step of the optimizer start from gradients and rates that are a little off."""
        random = np.random.default_rng(0)  # PyTorch's draws are taken out
        absolute = FINE if self.dtype == "float64" else COARSE
        # `clip_grad_norm_` adds 1e-6 to the norm, and Keras does not.
        own = self.pair.theirs.train_step or self.pair.theirs.train_epoch
        scale = 1 + 1e-6 * bool(self.pair.theirs.clip or own)
        largest = max(float(group["lr"]) for group in self.optimizer.param_groups)

        def noise(like: torch.Tensor) -> torch.Tensor:
            return torch.from_numpy(random.normal(size=tuple(like.shape))).to(like.dtype)

        def before(optimizer: torch.optim.Optimizer, args: tuple, kwargs: dict) -> None:
            given = [p for group in optimizer.param_groups for p in group["params"]]
            moved = [p for p in given if p.grad is not None]
            for p in moved:
                p.grad = torch_net.dense(p.grad)
            top = max((float(p.grad.abs().max()) for p in moved), default=0.0)
            for p in moved:
                p.grad *= scale
                p.grad += p.grad * noise(p.grad) * EPS + noise(p.grad) * absolute * top
            self._rates = [group["lr"] for group in optimizer.param_groups]
            for group in optimizer.param_groups:
                rounded = 1.0 if self.dtype == "float64" else _rounded_corrections(group, optimizer)
                group["lr"] = group["lr"] * rounded + largest * EPS

        def after(optimizer: torch.optim.Optimizer, args: tuple, kwargs: dict) -> None:
            for group, rate in zip(optimizer.param_groups, self._rates):
                group["lr"] = rate

        self.optimizer.register_step_pre_hook(before)
        self.optimizer.register_step_post_hook(after)


def _rounded_corrections(group: dict[str, Any], optimizer: torch.optim.Optimizer) -> float:
    """Return what rounding in float32 multiplies the rate of a step of Adam by.

    Keras corrects the rate by the root of 1 - beta_2 ** step, of which float32 keeps few digits.
    """
    taken = [optimizer.state.get(p, {}).get("step", 0) for p in group["params"]]
    if "betas" not in group or not taken:
        return 1.0

    def corrected(floats: type[np.floating]) -> float:
        one, two = (1 - floats(beta) ** floats(int(taken[0]) + 1) for beta in group["betas"])
        return float(np.sqrt(two) / one)

    return corrected(np.float32) / corrected(np.float64)


def _functions(pair: Pair) -> Iterator[tuple[str, Any]]:
    for name in ("train_step", "train_epoch", "clip", "preprocess"):
        yield name, getattr(pair.theirs, name)


def _is_module(pair: Pair) -> bool:
    return isinstance(pair.theirs.loss, nn.Module)


def _number(value: Any) -> float | None:
    try:
        value = value.detach() if isinstance(value, torch.Tensor) else value
        return None if value is None else float(value)
    except (TypeError, ValueError):
        return None
