"""Describe the images of MNIST."""

from mnist_keras.task import TASK
from shared_keras import explore

if __name__ == "__main__":
    raise SystemExit(explore.main(TASK))
