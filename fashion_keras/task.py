"""What is true of Fashion-MNIST only, as one value."""

from fashion_keras.lab4_recipes import GRID_RECIPES
from fashion_keras.pytorch_recipes import PIXELS
from fashion_keras.recipes import RECIPES
from shared_keras.task import Budget, Task

TASK = Task(
    name="fashion",
    title="Fashion-MNIST",
    package="fashion_keras",
    classes=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    digests={
        "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    },
    pixels=PIXELS,
    published_test_fraction=0.4,
    published_test_first=False,
    spaces={"dense": Budget(15, 2), "regularized": Budget(20, 2), "batchnorm": Budget(80, 3)},
    default_space="regularized",
    recipes=RECIPES,
    grid=GRID_RECIPES,
)
