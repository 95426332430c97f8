"""What the two task packages share, independent of any dataset."""

import os
import sys

# Keras reads this when it is first imported. JAX is the fastest backend here
# (benchmarks/epoch.py); a user's own choice is kept, and so is the backend of a Keras that
# was imported before.
if "keras" in sys.modules:
    os.environ["KERAS_BACKEND"] = sys.modules["keras"].config.backend()
os.environ.setdefault("KERAS_BACKEND", "jax")
