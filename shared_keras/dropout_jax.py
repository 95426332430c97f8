"""Dropout on JAX from half as many random bits.

`jax.random.bernoulli` spends 32 random bits on each number, and making them is a tenth
of an epoch. Here a word decides for two numbers, with 16 bits each: the share that is
kept is exact to 1/65536, and what is kept is scaled by just that share.
"""

import jax
import jax.numpy as jnp

LEVELS = 2**16


def dropout(x: jax.Array, rate: float, key: jax.Array) -> jax.Array:
    """Set a share `rate` of `x`, shape (n, ...), to zero and scale up the rest.

    Args:
        x: Numbers of any floating dtype.
        rate: Share to drop, at least 0 and less than 1.
        key: As `jax.random.bits` takes it.
    """
    kept = max(round((1 - rate) * LEVELS), 1)
    words = jax.random.bits(key, (-(-len(x) // 2), *x.shape[1:]), "uint32")
    halves = jnp.concatenate([words % LEVELS, words // LEVELS])[: len(x)]
    return jnp.where(halves < kept, x * jnp.asarray(LEVELS / kept, x.dtype), 0)
