"""Models and their training as plain values, independent of any framework."""
