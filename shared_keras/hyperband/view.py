"""A search as it stands, as plain rows."""

import html
import time

import pandas as pd

from shared_keras.hyperband import table
from shared_keras.hyperband.decisions.oracle import Oracle
from shared_keras.hyperband.run_trials import SearchCourse
from shared_keras.results.trials import COLUMNS, PlannedRung, SearchState
from shared_keras.training import current_epoch

SHOWN = 10  # rows in a notebook


def state(oracle: Oracle, course: SearchCourse, finished: bool) -> SearchState:
    """Return the state of a search."""
    rows = {i: table.row(t, course.seconds.get(i)) for i, t in sorted(oracle.trials.items())}
    now = time.perf_counter()
    return SearchState(
        objective=oracle.objective.name,
        direction=oracle.objective.direction,
        rows=list(rows.values()),
        ended=list(oracle.end_order),
        ranked=[rows[trial.trial_id] for trial in oracle.get_best_trials(len(oracle.trials))],
        running={trial: now - running.since for trial, running in course.running.items()},
        waiting=oracle.waiting(),
        finished=finished,
        left_out=oracle.left_out(),
        epoch_of=current_epoch.read({trial: course.folder(trial) for trial in course.running}),
        spans=dict(oracle.spans),
        plan=[
            PlannedRung(
                r.key[0], r.bracket, r.key[1], r.first_number, r.trials, r.initial_epoch, r.epochs
            )
            for r in oracle.schedule()
        ],
    )


def frame(state: SearchState) -> pd.DataFrame:
    """Return a row per trial, ranked ones first: longest trained, then by score."""
    order = {row.trial: i for i, row in enumerate(state.ranked)}
    rows = [row.to_csv() for row in state.rows]
    found = pd.DataFrame(rows, columns=None if rows else list(COLUMNS)).convert_dtypes()
    return found.sort_values(
        "trial", key=lambda ids: ids.map(lambda i: order.get(i, len(order))), kind="stable"
    ).reset_index(drop=True)


def page(state: SearchState, name: str) -> str:
    """Return HTML for a notebook: how far a search is, and a row for each of its best trials."""
    line = f"{len(state.ended)} of {state.total} trials have ended"
    if state.failed:
        line += f", {len(state.failed)} of them failed"
    if state.best is not None:
        line += f"; the winner{' so far' * (not state.finished)} is trial {state.best.trial}"
        line += f", {state.objective} {state.best.score:.4f}"
    found = frame(state).drop(columns=["initial_epoch", "parent", "reason"])
    rows = found.dropna(axis="columns", how="all").head(SHOWN)
    more = f"<p>The best {SHOWN} are shown; <code>results()</code> has all.</p>"
    title = f"<p><b>Hyperband: {html.escape(name)}</b><br>{html.escape(line)}.</p>"
    rows = rows.astype(object).where(rows.notna(), "")
    written = "" if rows.empty else rows.to_html(index=False, border=0)
    return title + written + more * (len(found) > SHOWN)
