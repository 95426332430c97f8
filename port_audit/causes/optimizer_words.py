"""What an optimizer does otherwise, in words."""

import math

from port_audit.findings import Finding


def finding(name, cause, write, size, tolerance=None) -> Finding:
    """Return a finding about the optimizer."""
    return Finding("optimizer", name, cause, write, size, tolerance)


def described(name, weights, rules, mine, size) -> Finding:
    pairs = [(a, b) for a, b in zip(rules, mine) if a != b]
    field = "l2" if name == "decay" else name
    theirs, ours = next(
        ((a, b) for a, b in pairs if getattr(a, field) != getattr(b, field)), pairs[0]
    )
    if name == "decay":
        return _decay(weights, rules, mine, size)
    a, b = getattr(theirs, name), getattr(ours, name)
    match name:
        case "kind":
            return finding(
                "optimizer", f"it is {b}, PyTorch's is {a}", f"keras.optimizers: {a}", size
            )
        case "lr":
            return finding(
                "learning rate", f"it is {b:g}, PyTorch's is {a:g}", f"learning_rate={a:g}", size
            )
        case "betas":
            return finding(
                "betas",
                f"they are {b}, PyTorch's are {a}",
                f"beta_1={a[0]:g}, beta_2={a[1]:g}",
                size,
            )
        case "epsilon":
            return finding(
                "optimizer epsilon", f"it is {b:g}, PyTorch's is {a:g}", f"epsilon={a:g}", size
            )
        case "place":
            kind = {"adam": "Adam", "rmsprop": "RMSprop"}.get(theirs.kind, theirs.kind)
            text = (
                "epsilon is added before the bias correction, in PyTorch after it"
                if theirs.kind == "adam"
                else "epsilon is added inside the root, in PyTorch outside"
            )
            return finding("epsilon place", text, f"shared_keras.models.optimizers.{kind}", size)
        case "times":
            return finding(
                "two biases",
                "LSTM has one bias; PyTorch's two get the same gradient, so that their sum moves "
                "twice as far",
                "use_bias=False, and a layer of your own with two biases; or bias=False in both",
                size,
            )
        case "momentum":
            return finding(
                "optimizer momentum", f"it is {b:g}, PyTorch's is {a:g}", f"momentum={a:g}", size
            )
        case "accumulator":
            return finding(
                "accumulator",
                f"it starts at {b:g}, PyTorch's at {a:g}",
                f"initial_accumulator_value={a:g}",
                size,
            )
    return finding(name, f"{name} is {b}, PyTorch's is {a}", f"{name}={a}", size)


def _decay(weights, rules, mine, size) -> Finding:
    kernels = [(a, b) for w, a, b in zip(weights, rules, mine) if "kernel" in w.role]
    theirs, ours = kernels[0] if kernels else (rules[0], mine[0])
    wanted = theirs.l2 or theirs.decoupled
    l2 = f"shared_keras.models.optimizers' l2={theirs.l2:g}"
    agree = all(
        math.isclose(a.l2, b.l2) and math.isclose(a.decoupled, b.decoupled) for a, b in kernels
    )
    if kernels and agree:
        return finding(
            "decay of biases",
            "kernels decay alike, but biases and norms do not decay as in PyTorch",
            l2 if theirs.l2 else f"weight_decay={theirs.decoupled:g}, without exclusions",
            size,
        )
    if theirs.l2 and ours.decoupled and not ours.l2:
        return finding(
            "decoupled decay",
            f"weight_decay={ours.decoupled:g} is decoupled, as in AdamW; PyTorch adds "
            f"{theirs.l2:g} times the parameter to the gradient",
            l2,
            size,
        )
    if theirs.decoupled and ours.l2 and not ours.decoupled:
        return finding(
            "coupled decay",
            f"a penalty adds {ours.l2:g} times the parameter to the gradient; PyTorch's decay "
            "is decoupled",
            f"AdamW(weight_decay={theirs.decoupled:g}) and no regularizer",
            size,
        )
    if theirs.l2 and math.isclose(ours.l2, 2 * theirs.l2, rel_tol=1e-6):
        return finding(
            "decay factor",
            f"L2(c) adds 2c times the parameter: {ours.l2:g}, PyTorch's weight_decay adds "
            f"{theirs.l2:g}",
            f"L2({theirs.l2 / 2:g}) for kernels, or {l2}",
            size,
        )
    return finding(
        "weight decay",
        f"it is {ours.l2 or ours.decoupled:g}, PyTorch's is {wanted:g}",
        (f"weight_decay={wanted:g}" if theirs.decoupled else l2) if wanted else "no decay",
        size,
    )
