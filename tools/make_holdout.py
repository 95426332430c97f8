"""Write the holdout split of the embedded training images: `python -m tools.make_holdout`.

tests/data/test_datasets.py checks the files against scikit-learn.
"""

import numpy as np
from sklearn.model_selection import train_test_split

from shared_keras.data import datasets, splits
from tests.conftest import TASKS


def holdout(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the training indices, and those of a stratified fifth for validation."""
    indices = np.arange(len(labels), dtype=np.uint16)
    return train_test_split(indices, test_size=0.2, random_state=42, stratify=labels)


if __name__ == "__main__":
    for task in TASKS:
        labels = datasets.load(task)[0].y
        rest, validation = holdout(labels)
        path = datasets.embedded(task) / splits.HOLDOUT
        np.savez_compressed(path, labels=labels.astype(np.uint8), rest=rest, validation=validation)
