"""What is true of MNIST only, as one value."""

from mnist_keras.recipes import PIXELS, RECIPES
from shared_keras.task import Budget, Task

TASK = Task(
    name="mnist",
    title="MNIST",
    package="mnist_keras",
    classes=(
        "0",
        "1",
        "2",
        "3",
        "4",
        "5",
        "6",
        "7",
        "8",
        "9",
    ),
    digests={
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    },
    pixels=PIXELS,
    published_test_fraction=0.5,
    published_test_first=True,
    spaces={"dense": Budget(10, 2), "regularized": Budget(15, 2), "batchnorm": Budget(80, 3)},
    default_space="regularized",
    recipes=RECIPES,
)
