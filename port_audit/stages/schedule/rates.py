"""Part of stage 7: the learning rate over steps and epochs, and what else a scheduler moves."""

from collections.abc import Iterator, Sequence

import numpy as np

from port_audit.causes import schedules
from port_audit.courses import LATE, Courses, apart
from port_audit.findings import UNEXPLAINED, Finding
from port_audit.ledger.entries import ORIGINAL, Entry

TOLERANCE = 1e-5  # of the rate at the reference; schedules are computed in float32
DRIFT = 1e-3  # of later ones: float32 powers of a number close to 1 drift, step by step


def compare(courses: Courses) -> tuple[float, list[Finding]]:
    """Compare all that schedulers move; return how far rates are apart, and what is found."""
    size = apart(courses.theirs, courses.ours, courses.reference)
    found = list(_explained(courses, size) if size > TOLERANCE else _late(courses))
    return size, [*found, *_others(courses), *_callbacks(courses)]


def _others(courses: Courses) -> Iterator[Finding]:
    """What moves in PyTorch besides the rate of the first group; in Keras it stands still."""
    for index, group in enumerate(courses.groups):
        for key, values in group.items():
            if key == "lr" or np.ptp(values) == 0:
                continue
            where = f"group {index}" if len(courses.groups) > 1 else "scheduler"
            yield Finding(
                where,
                "moving " + key.partition(".")[0],
                f"PyTorch's scheduler moves {key} between {values.min():.4g} and "
                f"{values.max():.4g}; the port's stands still",
                None,
                float(np.ptp(values)),
                0.0,
            )
    for index, group in enumerate(courses.groups[1:], 1):
        if not group["lr"].any():
            continue  # it is not trained, as the first stage says
        size = apart(courses.theirs, group["lr"], courses.reference)
        if size > TOLERANCE:
            yield Finding(
                f"group {index}",
                "rate of a group",
                "its rate moves on its own in PyTorch; the port has one rate for all weights",
                None,
                size,
                TOLERANCE,
            )


def _callbacks(courses: Courses) -> Iterator[Finding]:
    for name in courses.tried.changing:
        yield Finding(
            f"callback {name}",
            "callback",
            "it changes weights of the model while it trains; PyTorch's loop does not",
            f"no {name}",
        )


def _explained(courses: Courses, size: float) -> Iterator[Finding]:
    theirs, ours, reference = courses.theirs, courses.ours, courses.reference
    points = courses.times.points() * len(courses.scenarios)

    def finding(name: str, cause: str, write: str | None) -> Finding:
        return Finding("learning rate", name, cause, write, size, TOLERANCE)

    first = _first_apart(theirs, ours, reference, TOLERANCE)
    epoch, step = points[first]
    where = f"from epoch {epoch + 1}, step {step + 1} on"
    one_sided = _one_sided(courses, theirs, ours, where)
    if one_sided is not None:
        yield finding(*one_sided)
        return
    for causes, rates in schedules.variants(courses):
        if apart(theirs, rates, reference) <= TOLERANCE:
            for name, cause, write in causes:
                yield finding(name, f"{cause}; they part {where}", write)
            return
    if first == 0 and apart(theirs[-1:], ours[-1:], 0) <= TOLERANCE:
        yield finding(
            "first rate", f"training starts at {ours[0]:.4g}, PyTorch's at {theirs[0]:.4g}", None
        )
        return
    yield finding(
        UNEXPLAINED,
        f"the rates part {where}: {ours[first]:.6g}, in PyTorch {theirs[first]:.6g}",
        None,
    )


def _late(courses: Courses) -> Iterator[Finding]:
    """What moves only later, in Keras or in a group of PyTorch whose rate is the same before."""
    late = courses.late()
    if late is None:
        return
    ours, reference = late.ours, late.reference
    for index, group in enumerate(late.groups):
        before, theirs = courses.groups[index]["lr"], group["lr"]
        size = apart(theirs, ours, reference)
        if size <= DRIFT or apart(courses.theirs, before, courses.reference) > TOLERANCE:
            continue
        epoch = _first_apart(theirs, ours, reference, DRIFT)
        where = f"from epoch {epoch + 1} on"
        text = f"the rates part {where}: {ours[epoch]:.6g}, in PyTorch {theirs[epoch]:.6g}"
        said = _one_sided(courses, theirs, ours, where) or (UNEXPLAINED, text, None)
        place = f"learning rate of group {index}" if index else "learning rate"
        yield Finding(place, *said, size, DRIFT)
        return


def _far(courses: Courses) -> int | None:
    """Return the epoch from which rates part for long, if that is later than is compared."""
    far = courses.far()
    if far is None:
        return None
    theirs, ours = (rates / (rates[far.reference] or 1.0) for rates in (far.theirs, far.ours))
    off = np.abs(theirs - ours) > DRIFT
    lasting = off[:-2] & off[1:-1] & off[2:]  # one may be off by a step where a rate jumps
    return None if not lasting.any() else int(lasting.argmax()) * far.times.every


def _first_apart(theirs: np.ndarray, ours: np.ndarray, reference: int, tolerance: float) -> int:
    """Return the first point at which rates differ, relative to those of each side."""
    scaled = theirs / (theirs[reference] or 1.0), ours / (ours[reference] or 1.0)
    return next(i for i, (a, b) in enumerate(zip(*scaled)) if abs(a - b) > tolerance)


def _one_sided(
    courses: Courses, theirs: np.ndarray, ours: np.ndarray, where: str
) -> tuple[str, str, str] | None:
    """Return name, cause and advice where the rate of one side alone moves."""
    if np.ptp(ours) == 0:
        kind, per = (
            type(courses.pair.torch_training()[1]).__name__,
            courses.pair.theirs.step_scheduler_per,
        )
        text = f"the rate stays at {ours[0]:g}; PyTorch's moves {where}"
        return "schedule missing", text, f"a schedule; PyTorch's is {kind}, stepped per {per}"
    if np.ptp(theirs) == 0:
        text = f"the rate moves {where}; PyTorch's stays at {theirs[0]:g}"
        return "schedule extra", text, f"learning_rate={theirs[0]:g}, and no schedule"
    return None


def settle(courses: Courses, findings: Sequence[Finding]) -> None:
    """Settle what was compared: all but what is watched where the original does not say.

    Args:
        courses: How rates move.
        findings: What was found.
    """
    ledger = courses.pair.ledger
    ledger.settle("schedule")
    for index in (*courses.tried.failing, *courses.tried.moving):
        ledger.reopen(f"callbacks.{index}")
    if not findings and (epoch := _far(courses)) is not None:
        text = f"the rates part there, from about epoch {epoch} on"
        ledger.add([Entry(ORIGINAL, f"schedule behind epoch {max(LATE)}", text)])
    if courses.watches and courses.pair.theirs.monitor is None:
        ledger.reopen("scheduler.monitor")
