"""What the two task packages share; it knows no dataset."""

import os

# Keras reads this when it is first imported. JAX is the fastest backend here
# (benchmarks/epoch.py); a user's own choice stands.
os.environ.setdefault("KERAS_BACKEND", "jax")
