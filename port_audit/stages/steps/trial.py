"""Part of stage 6: what is advised for an optimizer is built, and run, before it is printed."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras

from port_audit import plain_optimizers
from port_audit.causes import advice
from port_audit.causes.optimizers import Rule
from port_audit.findings import Finding

CODE = "this optimizer"  # how advice begins that holds lines of code
NAMES = {"accumulator": "initial_accumulator_value", "lr": "learning_rate"}


def advised(
    optimizer: keras.optimizers.Optimizer,
    names: Sequence[str],
    findings: Sequence[Finding],
    rules: Sequence[Rule],
    variables: Sequence[keras.Variable],
) -> tuple[Any, bool] | None:
    """Return the optimizer that follows all advice, and whether regularizers stay.

    Args:
        optimizer: That of the port.
        names: Names of the options that differ.
        findings: The finding of each.
        rules: PyTorch's rule for each variable.
        variables: The variables.

    Returns:
        None if there is no such optimizer.
    """
    if "kind" in names or "times" in names:
        return None
    moving = next((rule for rule in rules if rule.lr), rules[0])
    config = plain_optimizers.quiet(optimizer, moving.lr)
    regularized = True
    for name in names:
        if name == "betas":
            config["beta_1"], config["beta_2"] = moving.betas
        elif name not in ("place", "decay"):
            config[NAMES.get(name, name)] = getattr(moving, name)
    excluded: Sequence[keras.Variable]
    made, excluded, l2 = type(optimizer), (), None
    for finding in sorted(findings, key=lambda each: each.name != "epsilon place"):
        if CODE in (finding.write or ""):
            made = advice.built(finding.write or "", type(optimizer), made)
    if "decay" in names:
        decays = {(rule.l2, rule.decoupled) for rule in rules if rule.lr} - {(0.0, 0.0)}
        if len(decays) > 1:
            return None
        l2, decoupled = next(iter(decays), (0.0, 0.0))
        config["weight_decay"] = decoupled or None
        regularized = False
        if "l2" in config:
            config["l2"] = l2
        kept = {id(v) for v, rule in zip(variables, rules) if rule.l2 or rule.decoupled}
        if decoupled:
            excluded = [v for v in variables if id(v) not in kept]
        elif len(kept) < len({id(v) for v, rule in zip(variables, rules) if rule.lr}):
            return None  # by regularizers of single weights
    known = hasattr(optimizer, "l2") and "l2" not in config and made is type(optimizer)
    optimizer = made(**config)
    if known and l2 is not None:
        optimizer.l2 = l2
    for name in plain_optimizers.EXCLUDED:
        optimizer.__dict__.pop(name, None)
    if excluded:
        optimizer.exclude_from_weight_decay(var_list=excluded)
    return optimizer, regularized


def without_advice(findings: Sequence[Finding]) -> list[Finding]:
    """Return findings whose advice did not make the difference vanish, without it."""
    return [replace(finding, write=None) for finding in findings]
