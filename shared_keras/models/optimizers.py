"""PyTorch's optimizers and its cosine schedule as Keras objects, and a faster Keras Adam.

The names are the same in both frameworks, the formulas are not. docs/pytorch.md has a table, and
tests/models/test_torch_semantics.py checks these classes against `torch.optim`. `l2` is what
PyTorch calls `weight_decay`: this times the parameter is added to the gradient of every parameter.
"""

from typing import Any

import keras
import numpy as np
from keras import ops

JAX = keras.backend.backend() == "jax"
if JAX:
    from shared_keras.models import jax_ops


@keras.saving.register_keras_serializable("shared_keras")
class Adam(keras.optimizers.Adam):
    """`torch.optim.Adam`: epsilon 1e-8, added after the bias correction."""

    def __init__(
        self,
        learning_rate: Any = 1e-3,
        l2: float = 0.0,
        epsilon: float = 1e-8,
        name: str = "adam",
        **kwargs: Any,
    ):
        super().__init__(learning_rate, epsilon=epsilon, name=name, **kwargs)
        _refuse("Adam", amsgrad=self.amsgrad)
        self.l2 = l2

    def update_step(self, gradient: Any, variable: keras.Variable, learning_rate: Any) -> None:
        """Update one variable."""
        kind = variable.dtype
        step = ops.cast(self.iterations + 1, kind)
        gradient = ops.cast(gradient, kind) + self.l2 * variable
        index = self._get_variable_index(variable)
        first, second = self._momentums[index], self._velocities[index]
        self.assign(first, self.beta_1 * first + (1 - self.beta_1) * gradient)
        self.assign(second, self.beta_2 * second + (1 - self.beta_2) * ops.square(gradient))
        beta_1, beta_2 = ops.cast(self.beta_1, kind), ops.cast(self.beta_2, kind)
        mean = first / (1 - ops.power(beta_1, step))
        scale = ops.sqrt(second) / ops.sqrt(1 - ops.power(beta_2, step)) + self.epsilon
        self.assign_sub(variable, ops.cast(learning_rate, kind) * mean / scale)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal optimizer."""
        return super().get_config() | {"l2": self.l2}


@keras.saving.register_keras_serializable("shared_keras")
class RMSprop(keras.optimizers.RMSprop):
    """`torch.optim.RMSprop`: alpha 0.99, epsilon 1e-8 outside the root.

    The momentum accumulates normalized gradients before they are multiplied by the
    learning rate, so a new learning rate takes effect at once.
    """

    def __init__(
        self,
        learning_rate: Any = 1e-2,
        rho: float = 0.99,
        momentum: float = 0.0,
        l2: float = 0.0,
        epsilon: float = 1e-8,
        name: str = "rmsprop",
        **kwargs: Any,
    ):
        super().__init__(
            learning_rate, rho=rho, momentum=momentum, epsilon=epsilon, name=name, **kwargs
        )
        _refuse("RMSprop", centered=self.centered)
        self.l2 = l2

    def update_step(self, gradient: Any, variable: keras.Variable, learning_rate: Any) -> None:
        """Update one variable."""
        gradient = ops.cast(gradient, variable.dtype) + self.l2 * variable
        index = self._get_variable_index(variable)
        square = self._velocities[index]
        self.assign(square, self.rho * square + (1 - self.rho) * ops.square(gradient))
        move = gradient / (ops.sqrt(square) + self.epsilon)
        if self.momentum > 0:
            gathered = self._momentums[index]
            self.assign(gathered, self.momentum * gathered + move)
            move = gathered
        self.assign_sub(variable, ops.cast(learning_rate, variable.dtype) * move)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal optimizer."""
        return super().get_config() | {"l2": self.l2}


@keras.saving.register_keras_serializable("shared_keras")
class OnePassAdam(keras.optimizers.Adam):
    """Keras's Adam, bit for bit; on JAX it makes one pass over memory where XLA can."""

    def stateless_apply(
        self, optimizer_variables: list, grads: list, trainable_variables: list
    ) -> Any:
        """Return the new values of the trainable variables and of the optimizer's."""
        apply, values = super().stateless_apply, (optimizer_variables, grads, trainable_variables)
        if JAX and not self.use_ema and jax_ops.fuses_outputs(values):
            return jax_ops.in_one_pass(apply, *values)
        return apply(*values)


def _refuse(optimizer: str, **options: bool) -> None:
    """Refuse options that the formulas here leave out."""
    for name, value in options.items():
        if value:
            raise ValueError(
                f"{optimizer}({name}=...) must be False; keras.optimizers.{optimizer} has it, "
                f"with Keras's formula. Received: {value}"
            )


def cosine(rate: float, step: Any, t_max: int) -> Any:
    """Return the learning rate of a step, or of an array of steps, counted from zero."""
    return rate * (1 + np.cos(np.pi * step / t_max)) / 2


@keras.saving.register_keras_serializable("shared_keras")
class CosineAnnealing(keras.optimizers.schedules.LearningRateSchedule):
    """PyTorch's `CosineAnnealingLR` with `eta_min=0`: periodic, it rises again after `t_max`.

    Keras's own `CosineDecay` stays at its floor.
    """

    def __init__(self, learning_rate: Any, t_max: int):
        self.learning_rate, self.t_max = learning_rate, t_max

    def __call__(self, step: Any) -> Any:
        """Return the learning rate of a step, counted from zero."""
        # A table, because Keras's `cos` is float32 even where everything else is float64.
        rates = cosine(self.learning_rate, np.arange(2 * self.t_max), self.t_max)
        table = ops.convert_to_tensor(rates, keras.config.floatx())
        return ops.take(table, ops.cast(step, "int32") % (2 * self.t_max))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal schedule."""
        return {"learning_rate": self.learning_rate, "t_max": self.t_max}
