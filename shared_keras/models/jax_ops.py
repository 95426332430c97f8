"""Dropout, ReLU and Adam on JAX, written so that XLA has fewer loops to compile and to run.

Dropout takes its random bits from a hash of position, step and seed. JAX's own random bits are
good enough for cryptography; making them takes a tenth of an epoch, and compiling them as long as
the rest of a small network. The hash is computed in one loop with the dropout itself, and its
bits have the same distribution (tests/models/test_dropout.py). It is triple32, published by
Christopher Wellons in 2018 (nullprogram.com/blog/2018/07/31).
"""

import os
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

MULTI_OUTPUT = "xla_cpu_use_multi_output_fusion=true"


def dropout(
    x: jax.Array, rate: float, key: jax.Array, order: Sequence[int] | None = None
) -> jax.Array:
    """Set a fraction `rate` of `x`, shape (n, ...), to zero and scale up the rest.

    Args:
        x: Values of any floating dtype.
        rate: Fraction to drop, at least 0 and less than 1.
        key: Seed and step, uint32 (2,), as Keras's `SeedGenerator` returns them.
        order: Axes of `x`, from the outermost: if they are moved, the same values are dropped.
    """
    position = jnp.uint32(0)
    for axis in range(x.ndim) if order is None else order:
        position = position * x.shape[axis] + jax.lax.broadcasted_iota("uint32", x.shape, axis)
    bits = _mix(_mix(position + _mix(key[0])) ^ key[1])
    least = jnp.uint32(min(round(rate * 2**32), 2**32 - 1))
    scaled = x * jnp.asarray(1 / (1 - rate), x.dtype)
    return jax.lax.select(bits >= least, scaled, jnp.zeros_like(x))  # jnp.where is not inlined


def _mix(bits: jax.Array) -> jax.Array:
    """Return uint32 values in which every bit depends on every bit of `bits`, uint32."""
    bits = (bits ^ (bits >> 17)) * jnp.uint32(0xED5AD4BB)
    bits = (bits ^ (bits >> 11)) * jnp.uint32(0xAC4C1B51)
    bits = (bits ^ (bits >> 15)) * jnp.uint32(0x31848BAB)
    return bits ^ (bits >> 14)


@jax.custom_jvp
def relu(x: jax.Array) -> jax.Array:
    """Return `jax.nn.relu(x)`; its derivative is taken from the result.

    JAX tests whether the argument was positive, so XLA has to store the argument, too, in a
    loop of its own. Testing the result gives the same derivative, bit for bit.
    """
    return jnp.maximum(x, 0)


def _derivative(change: Any, result: Any, x: Any) -> Any:
    # Not "> 0", from which XLA would infer "argument > 0". They differ only for NaN.
    return jax.lax.select(result != 0, change, jnp.zeros_like(change))


relu.defjvps(_derivative)


def fuses_outputs(values: tuple) -> bool:
    """Return whether XLA may compute several of these values in one loop, as in our workers.

    A `LossScaleOptimizer` passes Keras variables instead of arrays; these are left alone.
    """
    arrays = all(isinstance(value, jax.Array) for value in jax.tree.leaves(values))
    return arrays and MULTI_OUTPUT in os.environ.get("XLA_FLAGS", "")


def in_one_pass(apply: Callable, slots: list, gradients: list, weights: list) -> tuple:
    """Return what an optimizer's `apply` returns, in one pass over memory.

    XLA computes the new moments in one loop, and the new weights from these in a second one.
    If the new weights are computed from the old moments instead, everything becomes one loop,
    which takes two thirds of the time and compiles faster. XLA would notice that both ways
    give the same and undo this, so the operands of one are multiplied by a one that is known
    only at run time. The results are the same, bit for bit.

    Args:
        apply: Takes slots, gradients and weights; returns new weights and new slots.
        slots: The optimizer's variables, starting with the number of steps.
        gradients: One for each weight.
        weights: The trainable variables.
    """
    apply = jax.jit(apply, inline=True)  # traces it once
    one = slots[0] >= 0
    hidden = jax.tree.map(lambda x: x * one.astype(x.dtype), (slots, gradients, weights))
    return apply(*hidden)[0], apply(slots, gradients, weights)[1]
