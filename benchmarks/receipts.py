"""Write measurements to `benchmarks/results`, from which `docs/speed.md` is generated."""

from datetime import date
from pathlib import Path

from shared_keras import files
from shared_keras.results.environment import environment

RESULTS = Path(__file__).with_name("results")


def write(name: str, figures: dict) -> None:
    """Write figures, with the machine and the versions.

    Args:
        name: Name of the measurement; a later one of the same name replaces it.
        figures: Values that JSON can hold.
    """
    RESULTS.mkdir(exist_ok=True)
    measured = {"date": f"{date.today()}"} | environment().to_json() | {"processor": _processor()}
    files.write_json(RESULTS / f"{name}.json", measured | figures)
    print(f"wrote {RESULTS / name}.json")
    if (measured["commit"] or "").endswith("-dirty"):
        print(
            "It is not for the repository: files differ from the commit. Commit, and measure again."
        )


def _processor() -> str:
    """Return the processor's name, or "?" if the system does not tell."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), "?")
