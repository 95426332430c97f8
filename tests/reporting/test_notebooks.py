"""What a notebook shows of a search, a run and an audit, and how progress looks there."""

import pytest

from shared_keras.hyperband import view
from shared_keras.reporting import console
from shared_keras.results import folders, run_folders
from shared_keras.results.trials import SearchState, TrialRow
from tests.conftest import MNIST


def state(n, name="<units>"):
    rows = [
        TrialRow(f"{i:04}", 1, 0, 0, 3, None, 0.5 + i / 100, 1.0, "COMPLETED", None, {name: i})
        for i in range(n)
    ]
    ids = [row.trial for row in rows]
    return SearchState("val_accuracy", "max", rows, ids, rows[::-1], {}, [(0, 3)], False)


def test_a_search_shows_its_best_trials_and_escapes_names():
    page = view.page(state(12), "<mine>")
    assert "&lt;mine&gt;" in page and "&lt;units&gt;" in page
    assert "<mine>" not in page and "<units>" not in page
    assert "12 of 13 trials have ended; the winner so far is trial 0011" in page
    assert page.count("<tr") == 1 + view.SHOWN and "results()" in page
    assert "<table" not in view.page(state(0), "empty")


def test_a_search_shows_nothing_where_a_hyperparameter_is_inactive():
    some = state(3)
    some.rows[1].hyperparameters.clear()
    assert "NA" not in view.page(some, "mine") and "<td></td>" in view.page(some, "mine")


def test_a_run_shows_its_scores():
    run = run_folders.read(folders.reference(MNIST) / "runs" / "regularized" / "seed-0")
    page = run._repr_html_()
    scores = run.metrics.test
    assert f"{scores.accuracy:.4f}" in page
    assert f"{scores.accuracy_low:.4f} to {scores.accuracy_high:.4f}" in page
    assert page.count("<table") == 2


def test_an_audit_shows_its_report_with_names_escaped():
    pytest.importorskip("torch")
    from port_audit import Finding, Report, Stage

    finding = Finding("layer <x>", "<b>name</b>", "the cause")
    page = Report((Stage("outputs", "activations", findings=(finding,)),))._repr_html_()
    assert "layer &lt;x&gt;: &lt;b&gt;name&lt;/b&gt;" in page and "<b>name" not in page
    assert "Verdict: 1 difference" in page


def test_progress_in_a_notebook_is_one_display_that_changes(monkeypatch):
    display = pytest.importorskip("IPython.display")
    shown = []

    class Handle:
        def update(self, both, raw):
            shown.append(both)

    def show(both, raw, display_id):
        shown.append(both)
        return Handle()

    monkeypatch.setattr(console, "in_notebook", lambda: True)
    monkeypatch.setattr(display, "display", show)
    with console.BelowTheLines() as live:
        assert live.is_live and not live.console.is_jupyter
        for done in ("one <trial>", "two"):
            live.redraw(done)
    assert [both["text/plain"].strip() for both in shown] == ["one <trial>", "two"]
    assert "one &lt;trial&gt;" in shown[0]["text/html"]
