"""What a user has set for all of Keras, so that worker processes can be set alike."""

import keras


def read() -> dict:
    """Return the settings of this process: plain values that can be pickled."""
    settings = {
        "floatx": keras.config.floatx(),
        "epsilon": keras.config.epsilon(),
        "image_data_format": keras.config.image_data_format(),
        "dtype_policy": keras.dtype_policies.serialize(keras.config.dtype_policy()),
    }
    if keras.backend.backend() == "jax":
        import jax

        settings["x64"] = jax.config.jax_enable_x64
    return settings


def apply(settings: dict) -> None:
    """Set this process as another was when it called `read`."""
    keras.config.set_floatx(settings["floatx"])
    keras.config.set_epsilon(settings["epsilon"])
    keras.config.set_image_data_format(settings["image_data_format"])
    keras.config.set_dtype_policy(keras.dtype_policies.deserialize(settings["dtype_policy"]))
    if "x64" in settings:
        import jax

        jax.config.update("jax_enable_x64", settings["x64"])
