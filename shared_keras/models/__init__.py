"""Compiled Keras models of systems, and the parts that they are made of."""
