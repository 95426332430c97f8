"""What sets two losses apart, in words."""

from collections.abc import Callable, Iterator, Sequence

from port_audit.causes.losses import Form
from port_audit.findings import Finding
from port_audit.nets import activations


def named(
    causes: Sequence[str],
    form: Form,
    mine: Form,
    end_theirs: Callable,
    end_ours: Callable,
    size: float,
    tolerance: float,
) -> Iterator[Finding]:
    """Return a finding for each option in which the losses differ.

    Args:
        causes: Names of the options.
        form: PyTorch's loss.
        mine: Keras's loss.
        end_theirs: What PyTorch's model does at its end.
        end_ours: What the port does at its end.
        size: How far the losses are apart.
        tolerance: How far rounding may take them.
    """

    def finding(name, cause, write):
        return Finding("loss", name, cause, write, size, tolerance)

    if "function" in causes and {form.function, mine.function} == {"nll", "cross entropy"}:
        causes = [name for name in causes if name != "function"]
    if "function" in causes:
        yield finding("loss", f"it is {mine.function}, PyTorch's is {form.function}", form.function)
    elif "logits" in causes or "end" in causes:
        probabilities = not activations.same(end_ours, activations.identity)
        if mine.logits and probabilities:
            yield finding(
                "softmax twice",
                "the port ends with a softmax or sigmoid, and its loss takes logits",
                "from_logits=False, or no activation at the end",
            )
        elif not mine.logits and not probabilities:
            yield finding(
                "from_logits",
                "the port puts out logits, and its loss takes them for probabilities",
                "from_logits=True",
            )
        elif not activations.same(end_theirs, activations.identity) and form.function != "nll":
            yield finding(
                "softmax twice",
                "the original ends with a softmax or sigmoid, and its loss takes logits",
                "the same twice, to be as bad: from_logits=True behind the softmax",
            )
    if "reduction" in causes:
        name = {"mean": "sum_over_batch_size"}.get(form.reduction, form.reduction)
        yield finding(
            "reduction",
            f"the port takes the {mine.reduction}, PyTorch the {form.reduction}",
            f"reduction='{name}'",
        )
    if "smoothing" in causes:
        write = f"label_smoothing={form.smoothing:g}"
        if mine.function == "cross entropy" and form.smoothing:
            write = f"CategoricalCrossentropy(..., {write}), with one-hot targets"
        yield finding(
            "label smoothing", f"it is {mine.smoothing:g}, PyTorch's is {form.smoothing:g}", write
        )
    if "weights" in causes:
        yield finding(
            "class weights",
            f"they are {mine.weights}, PyTorch's are {form.weights}, divided by their sum",
            "a loss that weighs and divides as PyTorch's does",
        )
    elif "weights_by" in causes and form.weights is not None:
        yield finding(
            "class weights",
            "Keras divides the weighted sum by the size of the batch, PyTorch by the weights' sum",
            "a loss that divides by the sum of the weights",
        )
    if "ignored" in causes:
        yield finding(
            "ignored class",
            f"the ignored class is {mine.ignored}, PyTorch's is {form.ignored}",
            f"SparseCategoricalCrossentropy(..., ignore_class={form.ignored})",
        )
    if "delta" in causes or "factor" in causes:
        yield finding(
            "delta",
            f"it becomes linear at {mine.delta:g}, PyTorch's at {form.delta:g}"
            + (f", multiplied by {form.factor:g}" if form.factor != 1 else ""),
            f"Huber(delta={form.delta:g})",
        )
