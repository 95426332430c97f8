"""Training on JAX: one compiled program per epoch, over stock Keras objects.

The program scans `keras.Model.train_step` over the batches of an epoch. Images
and labels are arguments, never constants; they stay on the device in their own
dtype and are gathered by index inside the program. The state (weights, optimizer,
metrics, seeds of the dropout layers) is donated from epoch to epoch and put back
into the model's variables after each, where callbacks find and may change it.
"""

from collections.abc import Callable

import jax
import keras
import numpy as np

from shared_keras.training import Plan


def fit(model: keras.Model, x: np.ndarray, y: np.ndarray, plan: Plan) -> keras.callbacks.History:
    """Train as `shared_keras.training.fit` describes."""
    model._symbolic_build(data_batch=(x[:1], y[:1]))
    steps = -(-len(x) // plan.batch_size)
    callbacks = keras.callbacks.CallbackList(
        plan.callbacks,
        add_history=True,
        add_progbar=plan.verbose != 0,
        verbose=plan.verbose,
        epochs=plan.epochs,
        steps=steps,
        model=model,
    )
    x, y = jax.device_put((x, y))
    train = _scan(model.train_step, plan.batch_size)
    validate = None
    if plan.validation_data is not None:
        validate = _validation(model, *plan.validation_data, plan.validation_batch_size, callbacks)

    model.stop_training = False
    logs = {}
    callbacks.on_train_begin()
    initial_epoch = model._initial_epoch or plan.initial_epoch  # BackupAndRestore sets it
    for epoch in range(initial_epoch, plan.epochs):
        model.reset_metrics()
        callbacks.on_epoch_begin(epoch)
        callbacks.on_train_batch_begin(0)
        variables = (
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
            model.metrics_variables,
        )
        _write(variables, train(_read(variables), x, y, plan.order(epoch)))
        logs = {name: float(value) for name, value in model.get_metrics_result().items()}
        callbacks.on_train_batch_end(steps - 1, logs)
        if validate is not None:
            logs = logs | {f"val_{name}": value for name, value in validate().items()}
        callbacks.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    if plan.epochs > initial_epoch:
        model.optimizer.finalize_variable_values(model.trainable_weights)
    callbacks.on_train_end(logs)
    return model.history


def _validation(model, x, y, batch_size, callbacks) -> Callable[[], dict[str, float]]:
    """Return a function that evaluates the model on the whole of `x`, `y`."""
    x, y = jax.device_put((x, y))
    indices = np.arange(len(x), dtype=np.int32)
    test = _scan(model.test_step, batch_size)

    def validate():
        model.reset_metrics()
        callbacks.on_test_begin()
        callbacks.on_test_batch_begin(0)
        variables = (
            model.trainable_variables,
            model.non_trainable_variables,
            model.metrics_variables,
        )
        _write(variables, test(_read(variables), x, y, indices))
        logs = {name: float(value) for name, value in model.get_metrics_result().items()}
        callbacks.on_test_batch_end(-(-len(x) // batch_size) - 1, logs)
        callbacks.on_test_end(logs)
        return logs

    return validate


def _scan(step: Callable, batch_size: int) -> Callable:
    """Compile `step(state, batch)` to run over all batches that an order makes."""

    def program(state, x, y, order):
        def one(state, indices):
            return step(state, (x[indices], y[indices]))[1], None

        whole = len(order) // batch_size * batch_size
        batches = order[:whole].reshape(-1, batch_size)
        state, _ = jax.lax.scan(one, state, batches)
        if whole < len(order):
            state, _ = one(state, order[whole:])
        return state

    return jax.jit(program, donate_argnums=0)


def _read(variables):
    return tuple([variable.value for variable in group] for group in variables)


def _write(variables, values) -> None:
    for group, new in zip(variables, values, strict=True):
        for variable, value in zip(group, new, strict=True):
            variable.assign(value)
