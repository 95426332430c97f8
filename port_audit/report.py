"""The outcome of an audit: printed, or written to a folder."""

import io
import json
import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from port_audit import table
from port_audit.findings import Finding, Stage, Step
from port_audit.ledger.entries import Entry

# Verdicts, and the exit code of each.
SAME, DIFFERS, INCOMPLETE = "same", "differs", "incomplete"
EXIT_CODES = {SAME: 0, DIFFERS: 3, INCOMPLETE: 4}
# What no file says, and so no audit can compare.
OUTSIDE = (
    "the order of the samples and how they are augmented",
    "the number of epochs and when training stops early",
    "metrics other than accuracy",
)


@dataclass(frozen=True)
class Report:
    """The outcome of an audit.

    Attributes:
        stages: What each stage found.
        path: How far the two sides are apart along the network.
        entries: Every setting of both sides, and what settled it.
    """

    stages: tuple[Stage, ...]
    path: tuple[Step, ...] = field(default=())
    entries: tuple[Entry, ...] = field(default=())

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return all findings, in order."""
        return tuple(finding for stage in self.stages for finding in stage.findings)

    @property
    def causes(self) -> tuple[str, ...]:
        """Return the short names of all findings, in order, each once."""
        return tuple(dict.fromkeys(finding.name for finding in self.findings))

    @property
    def not_compared(self) -> tuple[Entry, ...]:
        """Return the settings that nothing settled."""
        return tuple(entry for entry in self.entries if entry.settled is None)

    @property
    def verdict(self) -> str:
        """Return "same", "differs", or "incomplete": nothing differs, but settings are left out."""
        if self.findings:
            return DIFFERS
        return INCOMPLETE if self.not_compared else SAME

    @property
    def same(self) -> bool:
        """Whether nothing differs, and nothing was left out."""
        return self.verdict == SAME

    @property
    def exit_code(self) -> int:
        """Return 0 if both sides are the same, 3 if they differ, 4 if settings are left out."""
        return EXIT_CODES[self.verdict]

    def to_json(self) -> dict:
        """Return the report as plain values for JSON."""
        stages = [
            {"verdict": stage.verdict} | asdict(stage) | {"ran": stage.ran} for stage in self.stages
        ]
        return _finite(
            {
                "same": self.same,
                "verdict": self.verdict,
                "stages": stages,
                "path": [asdict(step) for step in self.path],
                "ledger": [asdict(entry) for entry in self.entries],
                "outside": list(OUTSIDE),
            }
        )

    def show(self, console: Console | None = None) -> None:
        """Print the report as a table, then what to change."""
        table.show(self.stages, console)
        table.show_verdict(self, OUTSIDE, console)

    def _repr_html_(self) -> str:
        """Return what a notebook shows of the report."""
        page = Console(
            **table.AS_IT_IS,
            width=table.WIDTH,
            file=io.StringIO(),
            record=True,
            force_jupyter=False,
        )
        self.show(page)
        code = "<pre style='line-height: 1.3; overflow-x: auto'>{code}</pre>"
        return page.export_html(inline_styles=True, code_format=code)

    def write(self, folder: Path, original: Path, port: Path) -> None:
        """Write `audit.json` and, if layers could be compared, `audit.png`.

        Args:
            folder: An existing folder.
            original: The file of the original, to be named.
            port: The file of the port, to be named.
        """
        values = {"files": [str(original), str(port)]} | self.to_json()
        text = json.dumps(values, indent=2) + "\n"
        _put(folder / "audit.json", lambda path: path.write_text(text))
        if self.path:
            from port_audit import picture  # needs Matplotlib, which an audit does not

            title = f"{port.name} beside {original.name}"
            causes = [f for stage in self.stages if stage.name == "outputs" for f in stage.findings]
            cause = causes[0].where if causes else None
            figure = picture.along_the_network(self.path, title, cause)
            part: Any
            for part in figure.findobj(lambda part: hasattr(part, "set_parse_math")):
                part.set_parse_math(False)  # two "$" in a file's name make no formula
            _put(folder / "audit.png", lambda path: figure.savefig(path, format="png", dpi=120))


def _put(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file whole, or not at all."""
    temporary = path.with_name(f".{os.getpid()}.tmp-{path.name}")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _finite(value: Any) -> Any:
    """Replace what JSON has no number for by None."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
