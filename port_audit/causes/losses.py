"""Losses as plain values: what PyTorch's is, what Keras's is, and both computed in Keras."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import keras
import numpy as np
import torch
from keras import ops
from torch.overrides import TorchFunctionMode

from port_audit.findings import Finding
from port_audit.nets import activations

FROM_TORCH = {
    "cross_entropy": "cross entropy",
    "nll_loss": "nll",
    "binary_cross_entropy": "binary",
    "binary_cross_entropy_with_logits": "binary",
    "mse_loss": "mse",
    "l1_loss": "mae",
    "smooth_l1_loss": "huber",
    "huber_loss": "huber",
}
FROM_KERAS = {
    "sparsecategoricalcrossentropy": "cross entropy",
    "categoricalcrossentropy": "cross entropy",
    "binarycrossentropy": "binary",
    "meansquarederror": "mse",
    "mse": "mse",
    "meanabsoluteerror": "mae",
    "mae": "mae",
    "huber": "huber",
}


@dataclass(frozen=True)
class Form:
    """A loss.

    Attributes:
        function: "cross entropy", "nll" (of log-probabilities), "binary", "mse", "mae", "huber".
        logits: Whether it takes logits.
        reduction: "mean", "sum" or "none".
        smoothing: Label smoothing.
        weights: Weight of each class.
        weights_by: "sum" if weights are divided by their sum, "batch" by the size of the batch.
        ignored: A class that does not count.
        delta: Where a Huber loss becomes linear.
        factor: What a Huber loss is multiplied by.
    """

    function: str
    logits: bool = True
    reduction: str = "mean"
    smoothing: float = 0.0
    weights: tuple[float, ...] | None = None
    weights_by: str = "sum"
    ignored: int | None = None
    delta: float = 1.0
    factor: float = 1.0

    def __call__(self, y: Any, outputs: Any) -> Any:
        """Return the loss in Keras, a scalar.

        Args:
            y: Targets.
            outputs: Outputs with classes on the last axis.
        """
        values, counts = self._values(y, outputs)
        if self.reduction == "sum":
            return ops.sum(values)
        return ops.sum(values) / ops.sum(counts)

    def _values(self, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self.function in ("cross entropy", "nll"):
            return self._classes(y, z)
        y = ops.reshape(ops.cast(y, "float32"), ops.shape(z))
        if self.function == "binary":
            y = y * (1 - self.smoothing) + self.smoothing / 2
            if self.logits:
                each = ops.maximum(z, 0) - z * y + ops.log1p(ops.exp(-ops.abs(z)))
            else:
                p = ops.clip(z, 1e-7, 1 - 1e-7)
                each = -(y * ops.log(p) + (1 - y) * ops.log(1 - p))
        else:
            d = ops.abs(z - y)
            if self.function == "mse":
                each = d * d
            elif self.function == "mae":
                each = d
            else:
                linear = self.delta * (d - self.delta / 2)
                each = ops.where(d < self.delta, d * d / 2, linear) * self.factor
        return each, ops.ones_like(each)

    def _classes(self, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        classes = z.shape[-1]
        y = ops.reshape(ops.cast(y, "int32"), ops.shape(z)[:-1])
        kept = ops.ones_like(z[..., 0])
        if self.ignored is not None:
            kept = ops.cast(y != self.ignored, "float32")
            y = ops.where(y == self.ignored, 0, y)
        if self.function == "nll":
            log_p = z
        elif self.logits:
            log_p = ops.log_softmax(z, axis=-1)
        else:
            if keras.backend.backend() == "tensorflow":  # which clips, then normalizes
                log_p = ops.log_softmax(ops.log(ops.clip(z, 1e-7, 1 - 1e-7)), axis=-1)
            else:
                p = ops.clip(z / ops.sum(z, -1, keepdims=True), 1e-7, 1 - 1e-7)
                log_p = ops.log(p)
        target = ops.one_hot(y, classes)
        weights = np.ones(classes, "float32") if self.weights is None else self.weights
        weights = ops.convert_to_tensor(np.asarray(weights, "float32"))
        each = -ops.sum(target * log_p * weights, -1) * (1 - self.smoothing)
        each = each - ops.sum(log_p * weights, -1) * self.smoothing / classes
        count = ops.sum(target * weights, -1) if self.weights_by == "sum" else ops.ones_like(each)
        return each * kept, count * kept

    def differences(self, other: "Form") -> list[str]:
        """Return the names of the attributes in which two forms differ."""
        return [
            field.name
            for field in fields(self)
            if getattr(self, field.name) != getattr(other, field.name)
        ]


class _Heard(TorchFunctionMode):
    """Hears which loss PyTorch computes, and with which options."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, tuple, dict]] = []

    def __torch_function__(
        self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        name = getattr(function, "__name__", "")
        if name in FROM_TORCH:
            self.calls.append((name, args, kwargs or {}))
            with torch._C.DisableTorchFunction():
                return function(*args, **(kwargs or {}))
        return function(*args, **(kwargs or {}))


def of_torch(loss: Callable, outputs: Any, y: Any) -> list[Form]:
    """Return the losses that PyTorch computes."""
    with torch.no_grad(), _Heard() as heard:
        loss(outputs, y)
    return [_torch_form(*each) for each in heard.calls]


def _torch_form(name: str, args: tuple, kwargs: dict) -> Form:
    weight = kwargs.get("weight", args[2] if len(args) > 2 else None)
    options: dict[str, Any] = {"reduction": kwargs.get("reduction", "mean")}
    if name in ("cross_entropy", "nll_loss"):
        options["smoothing"] = float(kwargs.get("label_smoothing", 0.0))
        if isinstance(weight, torch.Tensor):
            options["weights"] = tuple(float(w) for w in weight)
        if kwargs.get("ignore_index", -100) != -100:
            options["ignored"] = int(kwargs["ignore_index"])
    options["logits"] = name != "binary_cross_entropy"
    if name == "huber_loss":
        options["delta"] = float(kwargs.get("delta", 1.0))
    if name == "smooth_l1_loss":
        beta = float(kwargs.get("beta", 1.0))
        options |= {"delta": beta, "factor": 1 / beta if beta else 1.0}
    return Form(FROM_TORCH[name], **options)


def of_keras(loss: Any, class_weight: dict | None = None, classes: int = 0) -> Form | None:
    """Return a loss of Keras as a form, or None if it is another one."""
    loss = keras.losses.get(loss)
    name = getattr(loss, "__name__", type(loss).__name__).replace("_", "").lower()
    if name not in FROM_KERAS:
        return None
    config = loss.get_config() if isinstance(loss, keras.Loss) else {}
    config |= getattr(loss, "_fn_kwargs", {})  # get_config of Huber leaves delta out
    function = FROM_KERAS[name]
    reduction = config.get("reduction", "sum_over_batch_size")
    reduction = "sum" if reduction == "sum" else "mean"
    options: dict[str, Any] = {"reduction": reduction}
    if function in ("cross entropy", "binary"):
        options["logits"] = bool(config.get("from_logits", False))
        options["smoothing"] = float(config.get("label_smoothing", 0.0))
    if config.get("ignore_class") is not None:
        options["ignored"] = int(config["ignore_class"])
    if function == "huber":
        options["delta"] = float(config.get("delta", 1.0))
    if class_weight:
        weights = tuple(float(class_weight.get(i, 1.0)) for i in range(classes))
        options |= {"weights": weights, "weights_by": "batch"}
    return Form(function, **options)


def categorical(loss: Any) -> bool:
    """Whether a loss of Keras takes targets as one value for each class."""
    loss = keras.losses.get(loss)
    name = getattr(loss, "__name__", type(loss).__name__).replace("_", "").lower()
    return name in ("categoricalcrossentropy", "categoricalfocalcrossentropy", "kldivergence")


def targets(loss: Any, y: np.ndarray, shape: tuple) -> np.ndarray:
    """Return targets as a loss of Keras takes them, for outputs of a shape."""
    if isinstance(loss, list | tuple | dict):
        loss = next(iter(loss.values())) if isinstance(loss, dict) else loss[0]
    if categorical(loss) and y.ndim == len(shape) - 1:
        return np.eye(shape[-1], dtype="float32")[y]
    if y.ndim == 1 and len(shape) == 2 and shape[-1] == 1:
        y = y[:, None]
    return y if y.dtype.kind in "iu" and shape[-1] > 1 else y.astype("float32")


def named(
    causes: Sequence[str],
    form: Form,
    mine: Form,
    end_theirs: Callable,
    end_ours: Callable,
    size: float,
    tolerance: float,
) -> Iterator[Finding]:
    """Return a finding for each option in which the losses differ.

    Args:
        causes: Names of the options.
        form: PyTorch's loss.
        mine: Keras's loss.
        end_theirs: What PyTorch's model does at its end.
        end_ours: What the port does at its end.
        size: How far the losses are apart.
        tolerance: How far rounding may take them.
    """

    def finding(name: str, cause: str, write: str | None) -> Finding:
        return Finding("loss", name, cause, write, size, tolerance)

    if "function" in causes and {form.function, mine.function} == {"nll", "cross entropy"}:
        causes = [name for name in causes if name != "function"]
    if "function" in causes:
        yield finding("loss", f"it is {mine.function}, PyTorch's is {form.function}", form.function)
    elif "logits" in causes or "end" in causes:
        probabilities = not activations.same(end_ours, activations.identity)
        if mine.logits and probabilities:
            yield finding(
                "softmax twice",
                "the port ends with a softmax or sigmoid, and its loss takes logits",
                "from_logits=False, or no activation at the end",
            )
        elif not mine.logits and not probabilities:
            yield finding(
                "from_logits",
                "the port puts out logits, and its loss takes them for probabilities",
                "from_logits=True",
            )
        elif not activations.same(end_theirs, activations.identity) and form.function != "nll":
            yield finding(
                "softmax twice",
                "the original ends with a softmax or sigmoid, and its loss takes logits",
                "the same twice, to be as bad: from_logits=True behind the softmax",
            )
    if "reduction" in causes:
        name = {"mean": "sum_over_batch_size"}.get(form.reduction, form.reduction)
        yield finding(
            "reduction",
            f"the port takes the {mine.reduction}, PyTorch the {form.reduction}",
            f"reduction='{name}'",
        )
    if "smoothing" in causes:
        write = f"label_smoothing={form.smoothing:g}"
        if mine.function == "cross entropy" and form.smoothing:
            write = f"CategoricalCrossentropy(..., {write}), with one-hot targets"
        yield finding(
            "label smoothing", f"it is {mine.smoothing:g}, PyTorch's is {form.smoothing:g}", write
        )
    if "weights" in causes:
        yield finding(
            "class weights",
            f"they are {mine.weights}, PyTorch's are {form.weights}, divided by their sum",
            "a loss that weighs and divides as PyTorch's does",
        )
    elif "weights_by" in causes and form.weights is not None:
        yield finding(
            "class weights",
            "Keras divides the weighted sum by the size of the batch, PyTorch by the weights' sum",
            "a loss that divides by the sum of the weights",
        )
    if "ignored" in causes:
        yield finding(
            "ignored class",
            f"the ignored class is {mine.ignored}, PyTorch's is {form.ignored}",
            f"SparseCategoricalCrossentropy(..., ignore_class={form.ignored})",
        )
    if "delta" in causes or "factor" in causes:
        yield finding(
            "delta",
            f"it becomes linear at {mine.delta:g}, PyTorch's at {form.delta:g}"
            + (f", multiplied by {form.factor:g}" if form.factor != 1 else ""),
            f"Huber(delta={form.delta:g})",
        )
