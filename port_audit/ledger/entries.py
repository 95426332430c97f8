"""Settings of both sides, each settled by a measurement, or not compared."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

ORIGINAL, PORT = "original", "port"
NEUTRAL = "does nothing at this value"


@dataclass
class Entry:
    """A setting.

    Attributes:
        side: "original" or "port".
        path: Where it stands, such as "optimizer.weight_decay" or "layers.dense.activation".
        value: Its value, as text.
        stage: The stage that can settle it, or "" if none can.
        default: Whether it is what one gets without writing it down.
        settled: What settled it, or None if it was not compared.
    """

    side: str
    path: str
    value: str
    stage: str = ""
    default: bool = False
    settled: str | None = None

    def __str__(self) -> str:
        return f"{self.side}: {self.path} = {self.value}"


@dataclass
class Ledger:
    """All settings of both sides."""

    entries: list[Entry] = field(default_factory=list)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def open(self) -> list[Entry]:
        """Return what was not compared."""
        return [entry for entry in self.entries if entry.settled is None]

    def add(self, entries: Iterable[Entry]) -> None:
        """Add settings; one that is there already stays."""
        known = {(entry.side, entry.path) for entry in self.entries}
        self.entries += [each for each in entries if (each.side, each.path) not in known]

    def settle(
        self, stage: str, *paths: str, side: str | None = None, by: str | None = None
    ) -> None:
        """Settle what a stage has measured.

        Args:
            stage: The stage. Only what this stage can settle is settled.
            paths: Settings, or what holds them, such as "layers.dense"; by default all.
            side: Only of this side.
            by: What settled it; by default the name of the stage.
        """
        for entry in self.open:
            if entry.stage != stage or side not in (None, entry.side):
                continue
            if not paths or any(entry.path == p or entry.path.startswith(f"{p}.") for p in paths):
                entry.settled = by or stage

    def reopen(self, *paths: str, side: str | None = None, stage: str = "") -> None:
        """Take settings back: what was measured does not cover them.

        Args:
            paths: Settings, or what holds them.
            side: Only of this side.
            stage: What may still settle them.
        """
        for entry in self.entries:
            if side in (None, entry.side) and any(
                entry.path == p or entry.path.startswith(f"{p}.") for p in paths
            ):
                entry.settled, entry.stage = None, stage


def shown(value: Any) -> str:
    """Return a value as short text."""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = " ".join(str(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
