"""From a system to a compiled Keras model."""
