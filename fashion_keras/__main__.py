"""List the commands."""

import sys

from fashion_keras.task import TASK
from shared_keras import cli

if __name__ == "__main__":
    raise SystemExit(cli.overview(TASK, sys.argv[1:]))
