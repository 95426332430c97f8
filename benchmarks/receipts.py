"""Write what a benchmark measured to `benchmarks/results`, from where `docs/speed.md` is made."""

from datetime import date
from pathlib import Path

from shared_keras import files
from shared_keras.results.environment import environment

RESULTS = Path(__file__).with_name("results")


def write(name: str, figures: dict) -> None:
    """Write figures with what they were measured on.

    Args:
        name: Of the measurement; a later one of the same name takes its place.
        figures: What JSON can hold.
    """
    RESULTS.mkdir(exist_ok=True)
    measured = {"date": f"{date.today()}", "processor": _processor(), **environment()}
    files.write_json(RESULTS / f"{name}.json", measured | figures)
    print(f"wrote {RESULTS / name}.json")


def _processor() -> str:
    """Name the processor, where the system tells."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), "?")
