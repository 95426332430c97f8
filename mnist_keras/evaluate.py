"""Evaluate a model on the test images of MNIST."""

from mnist_keras.task import TASK
from shared_keras import evaluate

if __name__ == "__main__":
    raise SystemExit(evaluate.main(TASK))
