"""Retrain a search's winner or a published recipe for Fashion-MNIST."""

from fashion_keras.task import TASK
from shared_keras import retrain

if __name__ == "__main__":
    raise SystemExit(retrain.main(TASK))
