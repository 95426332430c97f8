"""What an audit finds: plain values, stage by stage."""

from dataclasses import dataclass

UNEXPLAINED = "unexplained"
# How grave a difference is, as measured by the stage that found it.
FUNCTION = "changes the function"
TRAINING = "changes training from the same start"
START = "changes only the start"
REPORTED = "changes only what is reported"


@dataclass(frozen=True)
class Finding:
    """A place where the two sides part.

    Attributes:
        where: Layer, parameter or setting, as the two sides call it.
        name: Short name of the cause, such as "epsilon", or "unexplained".
        cause: The cause in a sentence; of an unexplained divergence, what was seen.
        write: What to write in the port instead, or None if that is not known.
        size: How far the two are apart, in the unit of what is compared; None for facts such
            as a number of units.
        tolerance: How far rounding may take them apart.
        severity: What the difference changes; by default what its stage measures.
    """

    where: str
    name: str
    cause: str
    write: str | None = None
    size: float | None = None
    tolerance: float | None = None
    severity: str = ""

    @property
    def explained(self) -> bool:
        """Whether the cause was proved."""
        return self.name != UNEXPLAINED


@dataclass(frozen=True)
class Stage:
    """What one stage compared, and what it found.

    Attributes:
        name: Name of the stage.
        compared: What was compared, in a few words, or why nothing was.
        size: The largest divergence once all causes are undone, if it is a number.
        tolerance: How large it may be.
        findings: Where the two sides part.
        notes: What a reader should know although nothing is wrong.
        ran: Whether there was anything to compare.
    """

    name: str
    compared: str
    size: float | None = None
    tolerance: float | None = None
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    ran: bool = True

    @property
    def verdict(self) -> str:
        """Return "same", "differs" or "not compared"."""
        if not self.ran:
            return "not compared"
        return "differs" if self.findings else "same"


@dataclass(frozen=True)
class Step:
    """How far the two sides are apart behind one layer, relative to the largest output.

    Attributes:
        where: Name of the layer on both sides.
        written: The relative divergence of the port as it is written.
        undone: The same once the causes found are undone; infinite where shapes differ.
        tolerance: How large rounding may make it.
    """

    where: str
    written: float
    undone: float
    tolerance: float
