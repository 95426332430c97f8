"""Everything specific to Fashion-MNIST, as one value."""

from fashion_keras.dataset import CLASSES, DIGESTS, PIXELS
from fashion_keras.recipes import RECIPES
from fashion_keras.recipes.lab4 import GRID_RECIPES
from shared_keras.task import Budget, Task

TASK = Task(
    name="fashion",
    title="Fashion-MNIST",
    package="fashion_keras",
    classes=CLASSES,
    digests=DIGESTS,
    pixels=PIXELS,
    photos="objects",
    published_test_fraction=0.4,
    published_test_first=False,
    spaces={"dense": Budget(15, 2), "regularized": Budget(20, 2), "batchnorm": Budget(80, 3)},
    default_space="regularized",
    recipes=RECIPES,
    grid=GRID_RECIPES,
)
