"""The list of packages; everything else is in pyproject.toml.

In a wheel, the committed results are data of each task's package.
"""

from setuptools import find_packages, setup

REFERENCES = {
    "fashion_keras.reference": "tuner_results/reference/fashion",
    "mnist_keras.reference": "tuner_results/reference/mnist",
}

setup(
    packages=[
        *find_packages(include=["fashion_keras*", "mnist_keras*", "port_audit*", "shared_keras*"]),
        *REFERENCES,
    ],
    package_dir=REFERENCES,
)
