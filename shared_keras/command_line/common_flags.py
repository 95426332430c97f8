"""The flags that several commands share."""

from pathlib import Path

from shared_keras import devices
from shared_keras.command_line.parser import Parser, share, whole_or_auto
from shared_keras.task import SPLITS


def data(parser: Parser) -> None:
    """Add the flag for images of one's own."""
    parser.add_argument(
        "--data-dir",
        metavar="DIR",
        help="folder of your own images, instead of the embedded ones: four IDX files, plain or "
        "gzipped, or a folder of PNG or JPEG files for each class; docs/own-data.md has the "
        "details",
    )


def split(parser: Parser, default: str | None, note: str = "") -> None:
    """Add the flag for where validation images come from."""
    parser.add_argument(
        "--split",
        choices=SPLITS,
        default=default,
        help="where validation images come from: a fifth of the training images "
        "(holdout), or, as in the originals, the test images: a part of them (published), "
        f"half (half), all (test){note}",
    )


def results(parser: Parser) -> None:
    """Add the flag for where results are."""
    parser.add_argument(
        "--results-dir",
        metavar="DIR",
        type=Path,
        default=Path("tuner_results"),
        help="where results are written and looked for",
    )


def workers(parser: Parser, note: str = "") -> None:
    """Add the flags for what trains: this machine's workers or a cluster's."""
    add = parser.add_argument
    add(
        "--workers",
        type=whole_or_auto,
        metavar="N",
        default="auto",
        help=f"worker processes; auto: one for each CPU core, or one on a GPU{note}",
    )
    add(
        "--cluster",
        metavar="ADDRESS",
        help="train on a Ray cluster: auto for that of this machine, HOST:PORT, ray://HOST:PORT, "
        "or local to start one here",
    )
    add(
        "--gpus-per-worker",
        type=share,
        metavar="N",
        help="GPUs of each worker of the cluster, such as 0.5; by default 1 if it has any",
    )
    patience = "how long to wait while the cluster has no worker, by default 600"
    parser.add_number("--cluster-timeout", patience, metavar="SECONDS")


def device(parser: Parser) -> None:
    """Add the flags for the backend and the device."""
    parser.add_argument(
        "--backend",
        choices=devices.BACKENDS,
        help="Keras backend; by default KERAS_BACKEND or, if unset, jax",
    )
    parser.add_argument(
        "--device", choices=devices.DEVICES, default="auto", help="auto uses a GPU if there is one"
    )
