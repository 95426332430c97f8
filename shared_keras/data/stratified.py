"""Cut labelled images into two parts with the same share of every class."""

import numpy as np

from shared_keras.errors import BadInput

SPLIT_SEED = 42  # the originals' `random_state`; --seed does not change the split


def cut(labels: np.ndarray, fraction: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of all but a fraction of the images, and those of the fraction.

    Args:
        labels: int (n,).
        fraction: The size of the second part, as a fraction of all.

    Raises:
        BadInput: if a class has too few images.
    """
    from sklearn.model_selection import train_test_split

    try:
        first, second = train_test_split(
            np.arange(len(labels)),
            test_size=fraction,
            random_state=SPLIT_SEED,
            stratify=labels,
        )
    except ValueError as error:
        raise BadInput(f"the {len(labels)} images cannot be split by class ({error})") from None
    return first, second
