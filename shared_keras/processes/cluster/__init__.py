"""Workers on a Ray cluster, for which Ray is needed: the extra `cluster`."""

from shared_keras.processes.cluster.connection import connect

__all__ = ["connect"]
