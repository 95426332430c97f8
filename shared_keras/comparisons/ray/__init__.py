"""A Ray Tune folder and its port: what the trials claimed, and what they reach."""
