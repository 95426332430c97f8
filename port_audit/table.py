"""An audit in the terminal."""

import math
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from port_audit.findings import Finding, Stage

STYLES = {"same": "green", "differs": "bold red", "not compared": "dim"}


def show(stages: Sequence[Stage], console: Console | None = None) -> None:
    """Print a line for each stage, then what was found and what to write instead.

    The table shows what is left over once all causes are undone, and how far rounding goes.
    """
    console = console or _console()
    table = Table(box=None, pad_edge=False)
    for title in ("stage", "", "compared", "left over", "rounding"):
        table.add_column(title, justify="right" if title in ("left over", "rounding") else "left")
    for number, stage in enumerate(stages, 1):
        verdict = Text(stage.verdict, STYLES[stage.verdict])  # in any console, with markup or not
        sizes = (_number(stage.size), _number(stage.tolerance)) if stage.ran else ("", "")
        table.add_row(f"{number} {stage.name}", verdict, stage.compared, *sizes)
    console.print(table)
    for stage in stages:
        for note in stage.notes:
            console.print(f"note ({stage.name}): {note}", markup=False)
    findings = [finding for stage in stages for finding in stage.findings]
    for number, finding in enumerate(findings, 1):
        size = ""
        if finding.size is not None:
            size = f" Apart by {_number(finding.size)}"
            if finding.tolerance is not None:
                size += f", rounding explains {_number(finding.tolerance)}"
            size += "."
        console.print(f"\n{number}. {finding.where}: {finding.name}", style="bold", markup=False)
        console.print(f"   {finding.cause}.{size}", markup=False)
        if finding.write is not None:
            first, *code = finding.write.splitlines()
            console.print(f"   Write: {first}", markup=False)
            for line in code:
                console.print(f"      {line}", soft_wrap=True, markup=False)
    console.print(_verdict(findings), markup=False)


def _console() -> Console:
    # A layer may be called "[x]".
    literal: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}
    screen = Console(**literal)
    return screen if screen.is_terminal else Console(**literal, width=120)


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return "other shape" if not math.isfinite(value) else f"{value:.1e}"


def _verdict(findings: Sequence[Finding]) -> str:
    if not findings:
        return "\nNo difference."
    unexplained = sum(not finding.explained for finding in findings)
    explained = len(findings) - unexplained
    parts = [f"{explained} explained"] * bool(explained) + [f"{unexplained} unexplained"] * bool(
        unexplained
    )
    count = len(findings)
    return f"\n{count} difference{'s' * (count > 1)}: {', '.join(parts)}."
