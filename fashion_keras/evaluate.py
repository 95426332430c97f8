"""Evaluate a model on the test images of Fashion-MNIST."""

from fashion_keras.task import TASK
from shared_keras import evaluate

if __name__ == "__main__":
    raise SystemExit(evaluate.main(TASK))
