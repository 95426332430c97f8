"""Search hyperparameters for Fashion-MNIST."""

from fashion_keras.task import TASK
from shared_keras import search

if __name__ == "__main__":
    raise SystemExit(search.main(TASK))
