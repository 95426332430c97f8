"""The witness: both sides really train, from the same weights on the same batches, side by side."""

from collections.abc import Callable, Sequence

import keras

from port_audit.errors import one_line
from port_audit.findings import TRAINING, UNEXPLAINED, Finding, Stage
from port_audit.ledger.entries import PORT, Entry
from port_audit.nets import kinds
from port_audit.nets.chance import Random
from port_audit.pair import Pair
from port_audit.witness import training
from port_audit.witness.parting import Course
from port_audit.witness.precision import Copy, copied

# What is found and does not move what the witness sees: it starts both sides from the same weights,
# gives them the same batches, and takes chance out.
UNSEEN = {
    "initial values",
    "dropout rate",
    "dropout kind",
    "dropout place",
    "extra dropout",
    "missing dropout",
    "noise shape",
    "noise",
    "extra noise",
    "missing noise",
    "recurrent dropout",
    "batch size",
    "last batch",
    "eval mode",
    "average of batches",
}
NARROW = ("float16", "bfloat16")
STRUCTURE = ("missing layer", "extra layer", "shape", "bias", "gamma", "beta", "reset_after")
UNDONE = ("layers", "outputs")  # stages whose causes are undone before the next one runs


def watch(pair: Pair, stages: Sequence[Stage], again: Callable[[Pair], bool]) -> Stage:
    """Let both sides train as they do, and say where they part.

    Args:
        pair: Both sides, with the causes found undone as far as that goes.
        stages: What the stages found.
        again: Undoes the causes of a pair that was made anew; returns whether its outputs agree.
    """
    reason = _why_not(pair, stages)
    if reason is not None:
        return Stage("witness", reason, ran=False)
    try:
        course = _course(pair, again)
    except Random as error:
        return _unseen(pair, f"not run: {error}")
    except Exception as error:
        return _unseen(pair, f"stopped by an error: {one_line(error)[:200]}")
    if course is None:
        return _unseen(pair, "not run: the causes found could not be undone in a copy")
    if course.parting is None:
        pair.ledger.settle("witness")
    return _stage(course, pair)


def _unseen(pair: Pair, reason: str) -> Stage:
    """Say that the witness saw nothing; the ledger then says that training was not compared."""
    pair.ledger.add([Entry(PORT, "training", f"as a whole ({reason})", "witness")])
    return Stage("witness", reason, ran=False)


def _why_not(pair: Pair, stages: Sequence[Stage]) -> str | None:
    """Return why there is nothing to be seen, or None."""
    theirs = pair.theirs
    if theirs.optimizer is None:
        return "the original has no optimizer"
    if theirs.loss is None and theirs.train_step is None and theirs.train_epoch is None:
        return "the original has no loss"
    if not getattr(pair.keras.model, "compiled", False):
        return "the port is not compiled"
    if any(layer.compute_dtype in NARROW for layer in pair.keras.layers):
        return "layers compute in 16 bits, where rounding explains too much"
    if pair.unknown:
        names: str | list[str] = ", ".join(layer.name for layer in pair.unknown[:3])
        return f"not run: weights of {names} stand for none of PyTorch's"
    blocking = [
        finding.name
        for stage in stages
        for finding in stage.findings
        if (finding.name not in UNSEEN and not (stage.name in UNDONE and finding.explained))
        or finding.name in STRUCTURE
    ]
    if blocking:
        names = list(dict.fromkeys(blocking))
        more = f" and {len(names) - 2} more" if len(names) > 3 else ""
        shown = ", ".join(names[: 2 if more else 3]) + more
        return f"waits for {shown}"
    if formed := [layer.name for layer in pair.keras.layers if kinds.acting(layer) is not layer]:
        return f"waits for the form of {formed[0]}"  # `fit` does not train what acts for it
    return None


def _course(pair: Pair, again: Callable[[Pair], bool]) -> Course | None:
    """Train in float64 if both sides take it, else in float32."""
    policy = keras.config.dtype_policy().name
    wide = not isinstance(pair.ours.model, keras.Model) and policy == "float32"
    if wide:
        try:
            return _trained(pair, again, "float64")
        except Random:
            raise
        except Exception as error:
            course = _trained(pair, again, "float32")
            if course is not None:
                course.notes.append(f"in float32, because in float64: {one_line(error)[:160]}")
            return course
    return _trained(pair, again, "float32")


def _trained(pair: Pair, again: Callable[[Pair], bool], dtype: str) -> Course | None:
    """Train; where both sides part, train again with the samples in the opposite order.

    Rounding may flip a ReLU once. It does not do so again.
    """
    courses: list[Course] = []
    for backwards in (False, True):
        with copied(pair, again, dtype) as copy:
            if copy is None:
                return None
            courses.append(training.train(copy, backwards))
        if courses[-1].parting is None:
            break
    if len(courses) == 2 and courses[-1].parting is None:
        part = courses[0].parting
        courses[-1].notes.append(
            f"{part.where}: {part.slot.name} was {part.size:.1e} off, but not so with the samples "
            "in the opposite order: rounding flipped a ReLU or a maximum"
        )
        return courses[-1]
    return courses[0]


def _stage(course: Course, pair: Pair) -> Stage:
    plan = course.plan
    compared = f"{course.steps} steps in {plan.epochs} epochs of fit, {course.dtype}"
    notes = tuple(course.notes)
    if course.parting is None:
        return Stage("witness", compared, course.size, course.tolerance, (), notes)
    part = course.parting
    sentence = part.sentence()
    if suspects := [str(entry) for entry in pair.ledger.open]:
        more = f" and {len(suspects) - 4} more" if len(suspects) > 4 else ""
        sentence += f"; not compared, so it may be why: {', '.join(suspects[:4])}{more}"
    finding = Finding(part.where, UNEXPLAINED, sentence, None, part.size, part.tolerance, TRAINING)
    return Stage("witness", compared, None, None, (finding,), notes)


__all__ = ["Copy", "watch"]
