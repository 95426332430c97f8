"""Dropout on JAX from a hash of position, step and seed.

JAX's own random bits would do for cryptography; making them takes a tenth of an epoch and
as long to compile as the rest of a small network. Here the bits of a number are a hash of
where it stands, in one loop with the dropout itself, and of the same law
(tests/test_dropout.py). The hash is triple32, published by Christopher Wellons in 2018
(nullprogram.com/blog/2018/07/31).
"""

import jax
import jax.numpy as jnp


def dropout(x: jax.Array, rate: float, key: jax.Array) -> jax.Array:
    """Set a share `rate` of `x`, shape (n, ...), to zero and scale up the rest.

    Args:
        x: Numbers of any floating dtype.
        rate: Share to drop, at least 0 and less than 1.
        key: Seed and step, uint32 (2,), as Keras's `SeedGenerator` returns them.
    """
    position = jnp.uint32(0)
    for axis, size in enumerate(x.shape):
        position = position * size + jax.lax.broadcasted_iota("uint32", x.shape, axis)
    bits = _mix(_mix(position + _mix(key[0])) ^ key[1])
    least = jnp.uint32(min(round(rate * 2**32), 2**32 - 1))
    scaled = x * jnp.asarray(1 / (1 - rate), x.dtype)
    return jax.lax.select(bits >= least, scaled, jnp.zeros_like(x))  # jnp.where is not inlined


def _mix(bits: jax.Array) -> jax.Array:
    """Return uint32 of which every bit depends on every bit of `bits`, uint32."""
    bits = (bits ^ (bits >> 17)) * jnp.uint32(0xED5AD4BB)
    bits = (bits ^ (bits >> 11)) * jnp.uint32(0xAC4C1B51)
    bits = (bits ^ (bits >> 15)) * jnp.uint32(0x31848BAB)
    return bits ^ (bits >> 14)
