"""Run whole commands, from the start of Python to its exit, and say what they took."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence


def timed(words: Sequence[str], variables: Mapping[str, str] | None = None) -> tuple[float, float]:
    """Run Python with these arguments, which must succeed.

    Args:
        words: The arguments.
        variables: Environment variables, beside those of this process.

    Returns:
        Seconds by the clock, and the processor seconds of the process and its children.
    """
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, *words],
        env=os.environ | (variables or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{' '.join(words)}: {done.stderr[-3000:]}")
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
