"""What to write: values, and whole lines where Keras has nothing that does as PyTorch does.

Lines are code behind a sentence, and need nothing but `import keras`.
"""

from typing import Any

import keras
from keras.optimizers import Optimizer


def plain(value: Any) -> Any:
    """Return a value as one would write it: (2, 2) as 2."""
    if isinstance(value, tuple) and len(set(value)) == 1:
        return value[0]
    return f"{value:g}" if isinstance(value, float) else value


def batch_norm() -> str:
    """Return a batch norm whose running variance is unbiased."""
    return """this layer:
class UnbiasedBatchNorm(keras.layers.BatchNormalization):
    def call(self, x, training=None, mask=None):
        old = self.moving_variance + 0.0
        outputs = super().call(x, training=training, mask=mask)
        if training and self.trainable:
            n = keras.ops.cast(keras.ops.size(x), old.dtype) / x.shape[self.axis]
            new = self.moving_variance + 0.0
            self.moving_variance.assign(new + (new - self.momentum * old) / (n - 1))
        return outputs"""


def padding(before: str, pairs: list[tuple[int, int]], mode: str) -> str:
    """Return a layer that pads by what is there, for which Keras's layers have no word.

    Args:
        before: Name of the layer that it belongs before.
        pairs: Widths on both sides of each axis.
        mode: As `keras.ops.pad` calls it.
    """
    return f"""this layer before {before}, with padding='valid':
class Padding(keras.layers.Layer):
    def call(self, x):
        return keras.ops.pad(x, {pairs}, mode="{mode}")"""


def cumulative_batch_norm() -> str:
    """Return a batch norm whose running statistics are means over all batches."""
    return """this layer, CumulativeBatchNorm(..., momentum=0.0):
class CumulativeBatchNorm(keras.layers.BatchNormalization):
    def build(self, input_shape):
        super().build(input_shape)
        self.batches = self.add_weight((), "zeros", trainable=False, name="batches")
    def call(self, x, training=None, mask=None):
        mean, variance = self.moving_mean + 0.0, self.moving_variance + 0.0
        outputs = super().call(x, training=training, mask=mask)
        if training and self.trainable:
            n = keras.ops.cast(keras.ops.size(x), mean.dtype) / x.shape[self.axis]
            self.batches.assign_add(1.0)
            new = self.moving_variance * n / (n - 1)
            self.moving_mean.assign(mean + (self.moving_mean - mean) / self.batches)
            self.moving_variance.assign(variance + (new - variance) / self.batches)
        return outputs"""


def epsilon_place(optimizer: Optimizer, kind: str, momentum: bool, centered: bool) -> str:
    """Return an optimizer that adds epsilon where PyTorch does.

    Args:
        optimizer: That of the port.
        kind: "adam", "rmsprop" or "adagrad".
        momentum: Whether PyTorch's RMSprop has momentum.
        centered: Whether PyTorch's RMSprop is centered.
    """
    lines = [
        "this optimizer:",
        f"class {_placed(optimizer)}({_base(optimizer)}):",
        "    def update_step(self, gradient, variable, learning_rate):",
    ]
    if kind == "adam":
        lines += [
            "        step = keras.ops.cast(self.iterations + 1, variable.dtype)",
            "        epsilon = self.epsilon",
            "        self.epsilon = epsilon * keras.ops.sqrt(1 - self.beta_2**step)",
            "        super().update_step(gradient, variable, learning_rate)",
            "        self.epsilon = epsilon",
        ]
        return "\n".join(lines)
    lines += ["        i = self._get_variable_index(variable)"]
    if kind == "adagrad":
        lines += [
            "        square = self._accumulators[i]",
            "        self.assign(square, square + gradient**2)",
            "        spread = square + 0.0",
        ]
    else:
        lines += [
            "        square = self._velocities[i]",
            "        self.assign(square, self.rho * square + (1 - self.rho) * gradient**2)",
            "        spread = square + 0.0",
        ]
        if centered:
            lines += [
                "        mean = self._average_gradients[i]",
                "        self.assign(mean, self.rho * mean + (1 - self.rho) * gradient)",
                "        spread = spread - mean**2",
            ]
    lines += ["        move = gradient / (keras.ops.sqrt(spread) + self.epsilon)"]
    if kind == "rmsprop" and momentum:
        lines += [
            "        gathered = self._momentums[i]",
            "        self.assign(gathered, self.momentum * gathered + move)",
            "        move = gathered + 0.0",
        ]
    lines += ["        self.assign_sub(variable, learning_rate * move)"]
    return "\n".join(lines)


def l2(optimizer: Optimizer, amount: float, placed: bool) -> str:
    """Return an optimizer that adds an amount of each parameter to its gradient.

    Args:
        optimizer: That of the port.
        amount: PyTorch's `weight_decay`.
        placed: Whether it builds on what `epsilon_place` returns.
    """
    if hasattr(optimizer, "l2"):
        return f"l2={amount:g}, without weight_decay and regularizers"
    return f"""this optimizer, without weight_decay and regularizers:
class {_name(optimizer)}WithL2({_placed(optimizer) if placed else _base(optimizer)}):
    l2 = {amount:g}
    def update_step(self, gradient, variable, learning_rate):
        super().update_step(gradient + self.l2 * variable, variable, learning_rate)"""


def rising(schedule: str) -> str:
    """Return a cosine schedule of Keras, by its name, that rises again behind its floor."""
    return f"""this schedule:
class Rising{schedule}(keras.optimizers.schedules.{schedule}):
    def __call__(self, step):
        period = self.decay_steps
        step = keras.ops.cast(step, "float32") % (2 * period)
        return super().__call__(period - keras.ops.abs(step - period))"""


def plateau(callback: keras.callbacks.Callback, relative: bool, least: float) -> str:
    """Return a plateau callback that judges as PyTorch's scheduler does.

    Args:
        callback: That of the port.
        relative: Whether the threshold is a share of the best value.
        least: PyTorch's `eps`, or 0.
    """
    own = type(callback).__module__.partition(".")[0] != "keras"
    name = type(callback).__name__
    lines = ["this callback:", f"class TorchPlateau({name if own else f'keras.callbacks.{name}'}):"]
    if relative:
        lines += [
            "    def _is_improvement(self, current, best):",
            "        return best is None or self.monitor_op(current, best * (1 + self.min_delta))",
        ]
    if least:
        lines += [
            "    def on_epoch_end(self, epoch, logs=None):",
            "        rate = self.model.optimizer._learning_rate",
            "        before = keras.ops.convert_to_numpy(rate)",
            "        super().on_epoch_end(epoch, logs)",
            f"        if before - keras.ops.convert_to_numpy(rate) <= {least:g}:",
            "            rate.assign(before)",
        ]
    return "\n".join(lines)


def built(text: str, *bases: type) -> type:
    """Return the class that advice defines, which may build on those of the user or of advice."""
    known = {cls.__name__: cls for base in bases for cls in base.__mro__}
    space: dict[str, Any] = known | {"keras": keras}
    before = set(space)
    exec("\n".join(text.splitlines()[1:]), space)
    return next(space[name] for name in space if name not in before and name != "__builtins__")


def _name(optimizer: keras.optimizers.Optimizer) -> str:
    """Return the name of a class; Adam for AdamW, whose weight_decay is not 0 by default."""
    name = type(optimizer).__name__
    return "Adam" if name == "AdamW" else name


def _placed(optimizer: keras.optimizers.Optimizer) -> str:
    return f"Torch{_name(optimizer)}"


def _base(optimizer: keras.optimizers.Optimizer) -> str:
    own = type(optimizer).__module__.partition(".")[0] != "keras"
    return _name(optimizer) if own else f"keras.optimizers.{_name(optimizer)}"
