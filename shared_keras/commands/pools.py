"""The workers that a command uses: those of this machine, or of a cluster."""

import argparse
import contextlib
import os
from collections.abc import Iterator

from shared_keras.errors import BadInput
from shared_keras.processes import cluster
from shared_keras.processes.local_pool import LocalPool
from shared_keras.processes.protocol import Pool


@contextlib.contextmanager
def of(args: argparse.Namespace) -> Iterator[Pool]:
    """Yield the workers that `flags` asks for; those of a cluster end with the command.

    Raises:
        BadInput: if the flags do not fit together, or Ray is not installed.
        RunFailed: if there is no cluster at the address.
    """
    if args.cluster is None:
        for flag in ("gpus_per_worker", "cluster_timeout"):
            if (value := getattr(args, flag)) is not None:
                raise BadInput(
                    f"argument --{flag.replace('_', '-')}: needs --cluster ADDRESS, got {value:g} "
                    "without it"
                )
        yield LocalPool(args.workers)
        return
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")  # Ray starts no cluster of its own accord
    gpus = 0.0 if args.device == "cpu" else args.gpus_per_worker
    timeout = {} if args.cluster_timeout is None else {"timeout": args.cluster_timeout}
    with cluster.connect(
        args.cluster, workers=args.workers, gpus_per_worker=gpus, **timeout
    ) as pool:
        yield pool
