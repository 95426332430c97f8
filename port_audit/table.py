"""An audit in the terminal."""

import math
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from port_audit.findings import Finding, Stage

# A layer may be called "[x]".
AS_IT_IS: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}
WIDTH = 120  # columns where there is no terminal
FEW = 3  # settings of one layer that are named with their values
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
        grade = f" It {finding.severity}." if finding.severity else ""
        console.print(f"   {finding.cause}.{size}{grade}", markup=False)
        if finding.write is not None:
            first, *code = finding.write.splitlines()
            console.print(f"   Write: {first}", markup=False)
            for line in code:
                console.print(f"      {line}", soft_wrap=True, markup=False)


def show_verdict(report: Any, outside: Sequence[str], console: Console | None = None) -> None:
    """Print the verdict, what was not compared, and what no audit compares.

    Args:
        report: The report.
        outside: What no file says.
        console: Where to print.
    """
    console = console or _console()
    left = report.not_compared
    if report.findings:
        console.print(_counted(report.findings), markup=False)
    if left:
        console.print("\nNot compared:")
        for line in _grouped(left):
            console.print(f"   {line}", markup=False)
    console.print(f"\nOutside this audit, because no file says it: {'; '.join(outside)}.")
    console.print(f"Verdict: {_verdict(report)}", markup=False)


def _grouped(entries: Sequence[Any]) -> list[str]:
    """Return a line for each setting, or one for all of a layer if there are many."""
    holders: dict[tuple[str, str], list] = {}
    for entry in entries:
        holders.setdefault((entry.side, entry.path.rpartition(".")[0]), []).append(entry)
    lines: list[str] = []
    for (side, holder), found in holders.items():
        if len(found) <= FEW:
            lines += map(str, found)
        else:
            names = ", ".join(entry.path.rpartition(".")[2] for entry in found)
            lines.append(f"{side}: {holder}, all of: {names}")
    return lines


def _console() -> Console:
    screen = Console(**AS_IT_IS)
    if screen.is_jupyter:  # plain lines, where Rich would make a display of each
        return Console(**AS_IT_IS, width=WIDTH, force_jupyter=False, force_terminal=False)
    return screen if screen.is_terminal else Console(**AS_IT_IS, width=WIDTH)


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return "other shape" if not math.isfinite(value) else f"{value:.1e}"


def _verdict(report: Any) -> str:
    left, code = len(report.not_compared), report.exit_code
    things = f"{left} setting{'s' * (left != 1)}"
    if report.findings:
        count = len(report.findings)
        more = f", and {things} not compared" if left else ""
        return f"{count} difference{'s' * (count > 1)}{more} (exit code {code})."
    if left:
        return f"no difference in what was compared, {things} not compared (exit code {code})."
    return f"no difference, nothing left out of {len(report.entries)} settings (exit code {code})."


def _counted(findings: Sequence[Finding]) -> str:
    unexplained = sum(not finding.explained for finding in findings)
    explained = len(findings) - unexplained
    parts = [f"{explained} explained"] * bool(explained) + [f"{unexplained} unexplained"] * bool(
        unexplained
    )
    count = len(findings)
    return f"\n{count} difference{'s' * (count > 1)}: {', '.join(parts)}."
