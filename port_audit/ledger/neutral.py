"""Which stage can settle a setting, and which values do nothing.

`tests/port_audit/test_neutral.py` sets each of them to another value and looks whether training
changes.
"""

from typing import Any

# Of a layer of Keras: what only acts when a model starts or trains. All else acts in inference.
STARTS = ("_initializer",)  # endings
PENALTIES = ("_regularizer", "_constraint")
TRAINS = (
    "rate",
    "noise_shape",
    "stddev",
    "alpha_dropout",
    "dropout",
    "recurrent_dropout",
    "seed_generator",
    "renorm",
    "renorm_clipping",
    "renorm_momentum",
)
# What does nothing to a training, whatever its value: names, ways of computing the same.
IDLE = {
    "name",
    "seed",  # chance is outside of an audit
    "synchronized",  # on one device
    "unroll",
    "use_cudnn",
    "implementation",
    "flash_attention",
    "batch_shape",
    "input_dtype",
    "optional",
    "build_config",
    "run_eagerly",
    "steps_per_execution",
    "jit_compile",
    "auto_scale_loss",
    # of an optimizer of PyTorch
    "foreach",
    "fused",
    "capturable",
    "differentiable",
    "initial_lr",  # what a scheduler remembers
    "max_lr",
    "min_lr",
    "max_momentum",
    "base_momentum",
    "weighted_metrics",
    # what a loss is multiplied by, and gradients divided by
    "loss_scale_factor",
    "initial_scale",
    "dynamic_growth_steps",
}
# Values that do nothing.
NEUTRAL: dict[str, tuple] = {
    "kernel_regularizer": (None,),
    "kernel_constraint": (None,),
    "activity_regularizer": (None,),
    "noise_shape": (None,),
    "rate": (0, 0.0),
    "stddev": (0, 0.0),
    "dropout": (0, 0.0),
    "recurrent_dropout": (0, 0.0),
    "renorm": (False,),
    "dtype": ("float32",),
    # of an optimizer of Keras
    "weight_decay": (None, 0, 0.0),
    "clipnorm": (None,),
    "global_clipnorm": (None,),
    "clipvalue": (None,),
    "use_ema": (False,),
    "gradient_accumulation_steps": (None, 1),
    # of compile and fit
    "loss_weights": (None,),
    "class_weight": (None,),
    # of PyTorch
    "maximize": (False,),
    "max_norm": (None,),
    "scale_grad_by_freq": (False,),
}
# What does nothing unless a switch beside it is on.
SWITCHES = {
    "ema_momentum": "use_ema",
    "ema_overwrite_frequency": "use_ema",
    "renorm_clipping": "renorm",
    "renorm_momentum": "renorm",
    "norm_type": "max_norm",
}


def stage_of(key: str) -> str:
    """Return the stage that can settle a setting of a layer of Keras."""
    if key.endswith(STARTS):
        return "initial values"
    if key.endswith(PENALTIES):
        return "steps"
    return "training mode" if key in TRAINS else "outputs"


def is_neutral(key: str, value: Any, beside: dict[str, Any]) -> bool:
    """Whether a setting does nothing.

    Args:
        key: Its name.
        value: Its value.
        beside: The settings beside it, by name.
    """
    if key in IDLE:
        return True
    if key in SWITCHES:
        switch = SWITCHES[key]
        return beside.get(switch) in NEUTRAL[switch]
    known = NEUTRAL.get(key)
    if known is None and key.endswith(PENALTIES):
        known = (None,)
    return known is not None and any(value is each or value == each for each in known)
