"""Keras's global settings: kept across `clear_session`, and sent to workers."""

from collections.abc import Mapping
from typing import Any

import keras


def read() -> dict:
    """Return the settings of this process: values that can be pickled.

    The dtype policy stays an object, because `keras.dtype_policies.serialize` imports TensorFlow,
    whatever the backend, which takes seconds.
    """
    config = keras.config
    settings = {
        "floatx": config.floatx(),
        "epsilon": config.epsilon(),
        "image_data_format": config.image_data_format(),
        "dtype_policy": config.dtype_policy(),
        "interactive_logging": config.is_interactive_logging_enabled(),
        "traceback_filtering": config.is_traceback_filtering_enabled(),
        "flash_attention": config.is_flash_attention_enabled(),
        "max_epochs": config.max_epochs(),
        "max_steps_per_epoch": config.max_steps_per_epoch(),
    }
    if keras.backend.backend() == "jax":
        import jax

        settings["x64"] = jax.config.read("jax_enable_x64")
    return settings


def apply(settings: Mapping[str, Any]) -> None:
    """Apply to this process the settings that `read` returned."""
    config = keras.config
    config.set_floatx(settings["floatx"])
    config.set_epsilon(settings["epsilon"])
    config.set_image_data_format(settings["image_data_format"])
    config.set_dtype_policy(settings["dtype_policy"])
    config.set_max_epochs(settings["max_epochs"])
    config.set_max_steps_per_epoch(settings["max_steps_per_epoch"])
    for name in ("interactive_logging", "traceback_filtering", "flash_attention"):
        if settings[name] is not None:  # flash attention may be left to Keras
            getattr(config, f"{'enable' if settings[name] else 'disable'}_{name}")()
    if "x64" in settings:
        import jax

        if jax.config.read("jax_enable_x64") != settings["x64"]:
            jax.config.update("jax_enable_x64", settings["x64"])
