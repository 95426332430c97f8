"""Time contenders side by side: each has its own process, and only one works at a time.

A contender trains one epoch for each line on its stdin and prints the seconds it took.
Each round runs all contenders in turn, so that a change in the machine's speed affects
all of them. The first epoch of each, which compiles, does not count.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence


def measure(commands: Mapping[str, Sequence[str]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each contender in each round.

    Args:
        commands: By name, the arguments of Python for it; those with a "=" are
            environment variables, which come first.
        rounds: Number of counted epochs of each.
    """
    contenders = {}
    for name, words in commands.items():
        variables = dict(word.split("=", 1) for word in words if "=" in word)
        contenders[name] = subprocess.Popen(
            [sys.executable, *(word for word in words if "=" not in word)],
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"} | variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        _epoch(contenders[name])  # compiles
    seconds = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, process in contenders.items():
            seconds[name].append(_epoch(process))
    for process in contenders.values():
        process.communicate()
    return seconds


def _epoch(process: subprocess.Popen) -> float:
    process.stdin.write("go\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def summary(
    seconds: Mapping[str, Sequence[float]], ours: str, goals: Mapping[str, float]
) -> dict[str, dict]:
    """Return the median seconds of each contender, and its ratios to `ours`.

    Args:
        seconds: What `measure` returned.
        ours: Name of the contender that the others are compared with.
        goals: The minimum ratio wanted, for some contenders.
    """
    contenders = {}
    for name, column in seconds.items():
        ratios = [theirs / own for theirs, own in zip(column, seconds[ours])]
        contenders[name] = {
            "seconds": statistics.median(column),
            "ratio": statistics.median(ratios),
            "ratio_low": min(ratios),
            "ratio_high": max(ratios),
            "goal": goals.get(name),
        }
    return {"contenders": contenders}


def show(seconds: Mapping[str, Sequence[float]], ours: str, goals: Mapping[str, float]) -> None:
    """Print medians, and the ratios to `ours` within each round, with their range."""
    for name, found in summary(seconds, ours, goals)["contenders"].items():
        line = f"  {name:30} median {found['seconds']:6.2f}   / ours {found['ratio']:5.2f}"
        line += f"  ({found['ratio_low']:.2f} to {found['ratio_high']:.2f})"
        if found["goal"]:
            line += f"   goal: at least {found['goal']}"
        print(line, flush=True)


class Gate:
    """Waits for a line before each epoch and prints the seconds after it."""

    def begin(self) -> None:
        """Wait for a line."""
        sys.stdin.readline()
        self.started = time.perf_counter()

    def end(self) -> None:
        """Print the seconds."""
        print(time.perf_counter() - self.started, flush=True)

    def callback(self):
        """Return a Keras callback that does both for each epoch."""
        import keras

        return keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: self.begin(),
            on_epoch_end=lambda epoch, logs: self.end(),
        )
