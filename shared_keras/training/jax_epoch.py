"""Training on JAX: one compiled program per epoch, over stock Keras objects.

Inside a loop, XLA runs its own convolutions on a CPU four to twelve times as slowly. Those that
`quick_layers` lists are computed otherwise; a model with any others has programs of a single step.

The program scans `keras.Model.train_step` over the batches of an epoch. Images
and labels are arguments, never constants; they stay on the device in their own
dtype and are gathered by index inside the program. The state (weights, optimizer,
metrics, seeds of the dropout layers) is donated from epoch to epoch. After each, it
is put back into the model's variables, where callbacks can read and change it.

A step also returns logs. Normally they are the results of the model's metrics, and are read
from the variables after the epoch. If the model's own step logs something else, the epoch's
logs are those of its last step, as in `Model.fit`.
"""

from collections.abc import Callable
from typing import Any

import jax
import keras
import numpy as np
from keras.src.utils.python_utils import pythonify_logs

from shared_keras.models import initializers
from shared_keras.models.layers import relu
from shared_keras.training.fit_data import Arrays, length, select
from shared_keras.training.model_kinds import layers
from shared_keras.training.plan import Plan
from shared_keras.training.quick_layers import convolves_slowly, quick_layers

# XLA's older code generator compiles in half the time. It is slow at in-place updates, such as
# an optimizer's, and at many exponentials: docs/log.md.
OLDER = {"xla_cpu_use_fusion_emitters": False}
QUICK_THERE = (
    keras.activations.linear,
    keras.activations.relu,
    keras.activations.softmax,
    relu,
)


def fit(model: keras.Model, data: tuple[Arrays, ...], plan: Plan) -> keras.callbacks.History:
    """Train as `shared_keras.training.fit` describes."""
    with initializers.constants():
        model._symbolic_build(data_batch=select(data, slice(0, plan.batch_size)))
    steps = -(-length(data) // plan.batch_size)
    callbacks = keras.callbacks.CallbackList(
        plan.callbacks,
        add_history=True,
        add_progbar=plan.verbose != 0,
        verbose=plan.verbose,
        epochs=plan.epochs,
        steps=steps,
        model=model,
    )
    data = jax.device_put(keras.utils.pack_x_y_sample_weight(*data))
    train = _program(model, "train", train_step(model), plan.batch_size)
    validate = None
    if plan.validation_data is not None:
        options = validation_options(model)
        test = _program(model, "test", test_step(model), plan.validation_batch_size, options)
        validate = _validation(model, test, plan, callbacks)

    model.stop_training = False
    logs = {}
    callbacks.on_train_begin()
    initial_epoch = model._initial_epoch or plan.initial_epoch  # BackupAndRestore sets it
    try:
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
            state, own = train(values_of(variables), data, plan.order(epoch))
            _write(variables, state)
            logs = _logs(model, own)
            callbacks.on_train_batch_end(steps - 1, logs)
            if validate is not None:
                logs = logs | {f"val_{name}": value for name, value in validate().items()}
            callbacks.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
    finally:  # however it ends
        if plan.epochs > initial_epoch:
            model.optimizer.finalize_variable_values(model.trainable_weights)
    callbacks.on_train_end(logs)
    return model.history


def _validation(
    model: keras.Model, test: Any, plan: Plan, callbacks: keras.callbacks.CallbackList
) -> Callable[[], dict[str, float]]:
    """Return a function that evaluates the model on the whole of a plan's validation data."""
    indices = np.arange(length(plan.validation_data), dtype=np.int32)
    batches = -(-len(indices) // plan.validation_batch_size)
    data = jax.device_put(keras.utils.pack_x_y_sample_weight(*plan.validation_data))

    def validate() -> dict[str, float]:
        model.reset_metrics()
        callbacks.on_test_begin()
        callbacks.on_test_batch_begin(0)
        variables = (
            model.trainable_variables,
            model.non_trainable_variables,
            model.metrics_variables,
        )
        state, own = test(values_of(variables), data, indices)
        _write(variables, state)
        logs = _logs(model, own)
        callbacks.on_test_batch_end(batches - 1, logs)
        callbacks.on_test_end(logs)
        return logs

    return validate


def train_step(model: keras.Model) -> Callable:
    """Return `model.train_step` in the form that a program needs."""

    def step(state: Any, data: Any) -> tuple:
        with quick_layers(model):
            logs, state = model.train_step(state, data)
        return _own(model, logs, state)

    return step


def test_step(model: keras.Model) -> Callable:
    """Return `model.test_step` in the form that a program needs."""

    def step(state: Any, data: Any) -> tuple:
        with quick_layers(model):
            logs, state = model.test_step(state, data)
        return _own(model, logs, state)

    return step


def _own(model: keras.Model, logs: Any, state: Any) -> tuple:
    """Return the state as lists, and the step's logs if they are not just the metrics."""
    ordinary = jax.eval_shape(model.get_metrics_result)
    if isinstance(logs, dict) and logs.keys() == ordinary.keys():
        logs = None
    elif not isinstance(logs, dict):
        raise TypeError(f"A step must return (logs, state) with a dict of logs. Received: {logs!r}")
    return tuple(list(group) for group in state), logs


def _logs(model: keras.Model, own: dict | None) -> dict[str, float]:
    """Return the logs of an epoch, as Keras does: scalars as Python's, others as arrays."""
    return pythonify_logs(model.get_metrics_result() if own is None else own)


def validation_options(model: keras.Model) -> dict | None:
    """Return the compiler options for the validation of a model on this device, if any."""
    activations = [getattr(layer, "activation", None) for layer in layers(model)]
    quick = all(a is None or a in QUICK_THERE for a in activations)
    return OLDER if quick and jax.default_backend() == "cpu" else None


def _program(
    model: keras.Model, kind: str, step: Callable, batch_size: int, options: dict | None = None
) -> Callable:
    """Return a program for an epoch of steps; reuse the model's of this kind if it has one.

    It is kept on an object that `Model.compile` replaces, so it goes when Keras's own go.
    """
    programs = vars(model._loss_tracker).setdefault("programs", {})
    key = kind, batch_size
    if key not in programs:
        if convolves_slowly(model, batch_size):
            programs[key] = _one_by_one(step, batch_size)
        else:
            programs[key] = over_batches(step, batch_size, options)
    return programs[key]


def over_batches(step: Callable, batch_size: int, options: dict | None) -> Callable:
    """Compile a program that runs a step over all batches of an order.

    The program returns the state, and the last step's logs if the step has its own.
    """
    one = _gather(step)

    def program(state: Any, data: Any, order: Any) -> tuple:
        whole = len(order) // batch_size * batch_size
        batches = order[:whole].reshape(-1, batch_size)
        state, logs = jax.lax.scan(lambda s, indices: one(s, data, indices), state, batches)
        if whole < len(order):
            return one(state, data, order[whole:])
        return state, jax.tree.map(lambda of_each: of_each[-1], logs)

    return jax.jit(program, donate_argnums=0, compiler_options=options)


def _one_by_one(step: Callable, batch_size: int) -> Callable:
    """Compile a step, and return a function that runs it for each batch of an order."""
    one = jax.jit(_gather(step), donate_argnums=0)

    def program(state: Any, data: Any, order: Any) -> tuple:
        for start in range(0, len(order), batch_size):
            state, logs = one(state, data, order[start : start + batch_size])
        return state, logs

    return program


def _gather(step: Callable) -> Callable:
    """Return a step that picks its batch from all samples by index."""

    def one(state: Any, data: Any, indices: Any) -> tuple:
        return step(state, select(data, indices))

    return one


def values_of(variables: Any) -> tuple:
    """Return the values of groups of variables, each in its own buffer, ready to donate."""
    seen = set()

    def value(variable: Any) -> Any:
        array = variable.value
        if id(array) in seen:  # one was assigned another's, such as a weight its average
            return jax.numpy.array(array, copy=True)
        seen.add(id(array))
        return array

    return tuple([value(variable) for variable in group] for group in variables)


def _write(variables: Any, values: Any) -> None:
    for group, new in zip(variables, values, strict=True):
        for variable, value in zip(group, new, strict=True):
            variable.assign(value)
