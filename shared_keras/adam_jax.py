"""Adam in one pass over memory on JAX.

XLA computes the new moments in one loop, and in a second one the new weights from what the
first has written. If the new weights are computed from the old moments instead, all of it
becomes one loop, which takes two thirds of the time and less compiling. XLA would see that
both are the same and undo that, were the operands not multiplied by a one that only the
running program knows. No bit of any result changes. XLA makes such loops, of several results,
only if it is told to, as `shared_keras.workers` does.
"""

import contextlib
import os
from collections.abc import Iterator

import jax
import keras

MULTI_OUTPUT = "xla_cpu_use_multi_output_fusion=true"


@contextlib.contextmanager
def one_pass(optimizer: keras.optimizers.Optimizer) -> Iterator[None]:
    """Let what is traced meanwhile run Keras's Adam in one pass, where XLA can."""
    told = MULTI_OUTPUT in os.environ.get("XLA_FLAGS", "")
    if type(optimizer) is not keras.optimizers.Adam or optimizer.use_ema or not told:
        yield
        return
    apply = jax.jit(optimizer.stateless_apply, inline=True)  # traces it once

    def apply_in_one_pass(slots, gradients, weights):
        one = slots[0] >= 0  # iterations
        hidden = jax.tree.map(lambda x: x * one.astype(x.dtype), (slots, gradients, weights))
        return apply(*hidden)[0], apply(slots, gradients, weights)[1]

    optimizer.stateless_apply = apply_in_one_pass
    try:
        yield
    finally:
        del optimizer.stateless_apply
