"""What a retraining trains, by what was asked."""

from shared_keras.command_line import flags
from shared_keras.commands.retraining import choices, request


def choose(task, *words):
    return choices.choose(task, request.of(flags.parser(task, "retrain").parse_args(words)))


def test_a_recipe_has_its_own_settings_unless_flags_change_them(task):
    chosen = choose(task, "--recipe", "all")
    assert [choice.recipe for choice in chosen] == list(task.recipes)
    for choice, recipe in zip(chosen, task.recipes.values()):
        assert choice.system == task.system(recipe.system)
        assert choice.batch_size == (choice.system.batch_size or recipe.batch_size)
        assert (choice.epochs, choice.patience) == (recipe.epochs, recipe.patience)
    words = ["--epochs", "2", "--patience", "3", "--batch-size", "5", "--split", "half"]
    for choice in choose(task, "--recipe", "all", *words):
        changed = choice.epochs, choice.patience, choice.batch_size, choice.split
        assert changed == (2, 3, 5, "half")


def test_the_winner_of_the_committed_search_is_what_it_was_there(task, tmp_path):
    (choice,) = choose(task, "--best", "--results-dir", str(tmp_path))
    assert choice.replay.space == task.default_space
    assert choice.system == task.system(choice.replay)
    assert choice.batch_size == 32 and choice.searched.objective == "val_accuracy"
