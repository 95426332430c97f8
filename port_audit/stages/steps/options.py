"""Part of stage 6: what every optimizer of Keras can do beside its own rule."""

from collections.abc import Iterator

from port_audit.findings import Finding
from port_audit.pair import Pair


def compare(pair: Pair) -> Iterator[Finding]:
    """Compare what changes a step beside the rule; PyTorch's optimizers have none of it."""
    optimizer = pair.optimizer
    steps = optimizer.gradient_accumulation_steps
    loop = any(getattr(pair.theirs, name, None) for name in ("train_step", "train_epoch"))
    if (steps or 1) > 1 and not loop:
        yield Finding(
            "optimizer",
            "gradient accumulation",
            f"it gathers the gradients of {steps} batches before a step; PyTorch steps after each",
            "gradient_accumulation_steps=None",
        )
    if optimizer.use_ema:
        often = optimizer.ema_overwrite_frequency
        when = f"every {often} steps and at the end" if often else "at the end of training"
        yield Finding(
            "optimizer",
            "moving average of weights",
            f"use_ema=True: {when} weights become their moving average; PyTorch's stay as they are",
            "use_ema=False",
        )
