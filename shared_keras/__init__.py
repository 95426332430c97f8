"""What the two task packages share, independent of any dataset."""

import os
import sys

# Keras reads this when it is first imported. JAX is the fastest backend here
# (benchmarks/epoch.py); a user's own choice is kept, and so is the backend of a Keras that
# was imported before.
CHOICE = "jax"
if "keras" in sys.modules:
    first = sys.modules["keras"].config.backend()
    if first != CHOICE and "KERAS_BACKEND" not in os.environ:
        print(
            f"note: Keras was imported first, with the backend {first}; import this package first "
            f"for {CHOICE}, its fastest, or set KERAS_BACKEND to the one that you want",
            file=sys.stderr,
        )
    os.environ["KERAS_BACKEND"] = first
    del first  # not a name of this package
os.environ.setdefault("KERAS_BACKEND", CHOICE)
