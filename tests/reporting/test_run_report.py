"""What is printed of trainings."""

import pytest

from shared_keras.reporting import run_report
from shared_keras.reporting.run_report import SearchScore
from shared_keras.results.settings import penalised
from shared_keras.results.winner import Confirmed
from tests.results import made


def results(*kept):
    return [made.metrics(0.9, seed=seed, best_epoch=epoch) for seed, epoch in enumerate(kept)]


CONFIRMED = Confirmed(0.88, 0.01, 3.0)
SAID = {
    "one run": (
        results(1),
        SearchScore("0003", "val_accuracy", 0.89, 3),
        "val_accuracy 0.9000 here (1 epoch), 0.8900 in the search (trial 0003, 3 epochs)",
    ),
    "several, of a confirmed search": (
        results(4, 2),
        SearchScore("0003", "val_accuracy", 0.89, 1, CONFIRMED),
        "val_accuracy 0.9000 here (mean of 2 seeds, 2 to 4 epochs), 0.8900 in the search (trial "
        "0003, 1 epoch), there confirmed by 0.8800 ± 0.0100 over 3 other seeds",
    ),
    "another objective": (
        results(4),
        SearchScore("0003", "val_loss", 0.4, None),
        "val_loss 0.4000 in the search (trial 0003)",
    ),
}


@pytest.mark.parametrize("case", SAID)
def test_what_a_search_reached_is_set_beside_its_winner_retrained(case, capsys):
    reached, searched, said = SAID[case]
    run_report.beside_search(reached, searched)
    assert capsys.readouterr().out.strip() == said


def test_only_the_losses_of_keras_include_penalties():
    system = {"layers": [{"units": 3, "l2": 0.0}, {"rate": 0.1}, {"units": 3, "l2": 1e-4}]}
    assert penalised("keras", system) and not penalised("pytorch", system)
    assert not penalised("keras", {"layers": system["layers"][:2]})
