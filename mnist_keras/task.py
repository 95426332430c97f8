"""Everything specific to MNIST, as one value."""

from mnist_keras.dataset import CLASSES, DIGESTS, PIXELS
from mnist_keras.recipes import RECIPES
from shared_keras.task import Budget, Task

TASK = Task(
    name="mnist",
    title="MNIST",
    package="mnist_keras",
    classes=CLASSES,
    digests=DIGESTS,
    pixels=PIXELS,
    photos="handwriting",
    published_test_fraction=0.5,
    published_test_first=True,
    spaces={
        "dense": Budget(10, 2),
        "regularized": Budget(15, 2, iterations=6),
        "batchnorm": Budget(80, 3),
    },
    default_space="regularized",
    recipes=RECIPES,
)
