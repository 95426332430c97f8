"""What a search is asked, from the words of its command line."""

import pytest

from shared_keras.command_line import flags
from shared_keras.commands.searching import request
from shared_keras.errors import BadInput
from shared_keras.task import Budget


def of(task, *words):
    return request.of(task, flags.parser(task, "search").parse_args(words))


def test_the_budget_is_that_of_the_space_unless_flags_change_it(task):
    for space, budget in task.spaces.items():
        assert of(task, "--space", space).budget == budget
        changed = of(task, "--space", space, "--max-epochs", "7", "--factor", "5").budget
        assert changed == Budget(7, 5, budget.iterations)
    assert of(task, "--quick").budget == Budget(3, 3, 1)
    assert of(task, "--quick", "--iterations", "4").budget == Budget(3, 3, 4)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--quick --factor 2", "--factor 2"),
        ("--factor 2 --max-epochs 9 --quick", "--max-epochs 9"),
        ("--quick --min-epochs 4", "at most 3, the epochs of the longest training, got 4"),
        ("--max-epochs 2 --min-epochs 3", "at most 2, the epochs of the longest training, got 3"),
    ],
)
def test_flags_that_contradict_each_other_are_refused(task, words, said):
    with pytest.raises(BadInput, match=said):
        of(task, *words.split())


def test_a_search_is_named_by_what_it_was_asked(task):
    assert of(task).name == task.default_space
    assert of(task, "--name", "mine", "--quick").name == "mine"
    words = "--split half --objective val_loss --try-first best --quick --data-dir a/b!c"
    named = of(task, *words.split()).name
    assert named == f"{task.default_space}-b-c-half-val_loss-try-best-quick"
