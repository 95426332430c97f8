"""The page of a run: what it says of classes and images, and how it looks in a browser."""

import numpy as np
import pytest

from shared_keras.data.datasets import Images
from shared_keras.reporting.pages import page, run_page
from shared_keras.results import predictions
from shared_keras.results.scores import score
from tests.reporting.pages.conftest import look

CLASSES = ("<b>one</b>", "two", "three")
N = 60


def trained(seeds):
    """Return a run of three classes whose probabilities are drawn."""
    random = np.random.default_rng(0)
    y = (np.arange(N) % 3).astype(np.int32)
    made = [random.dirichlet((1, 1, 1), N) * 0.5 + 0.5 * np.eye(3)[y] for _ in range(seeds)]
    scores = [score(each, y, CLASSES) for each in made]
    history = {"loss": [1.0, 0.5], "val_loss": [1.1, 0.7], "seconds": [1.0, 1.0]}
    images = Images(random.integers(0, 256, (N, 28, 28), dtype=np.uint8), y)
    return run_page.Trained(
        "A run",
        [("command", "<script>")],
        CLASSES,
        scores,
        run_page.figures(scores, []),
        [history] * seeds,
        [predictions.of(each) for each in made],
        images,
        {"val_loss": [1.0, 0.6], "val_accuracy": [0.5, 0.6]},
    )


def test_cells_of_the_confusion_matrix_have_their_images():
    shown = trained(2)
    for cell in run_page.Examples(shown).cells():
        for each in cell["images"]:
            assert shown.images.y[each["number"]] == cell["true"]
            votes = [made.predicted[each["number"]] for made in shown.predictions]
            assert each["seeds"] == votes.count(cell["predicted"]) > 0


def test_what_a_run_predicted_is_read_as_it_was_written(tmp_path):
    (made,) = trained(1).predictions
    predictions.write(tmp_path, made)
    found = predictions.find(tmp_path, N)
    assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(found, made))
    assert predictions.find(tmp_path, N + 1) is None
    (tmp_path / "predictions.npz").write_bytes(b"PK damaged")
    assert predictions.find(tmp_path, N) is None and predictions.find(tmp_path / "a", N) is None


def test_texts_cannot_end_a_script_and_numbers_are_what_json_has():
    told = page.script({"a": "</script>", "b": float("nan"), "c": np.float32(0.5), "d": [1, None]})
    assert page.script(1795950000.1234) == "1795950000.123" and page.script(1 / 3) == "0.333333"
    assert "<" not in told and '"b":null,"c":0.5,"d":[1,null]' in told


@pytest.mark.long(only=True)
def test_the_page_of_a_run_shows_its_images(tab, tmp_path):
    run_page.write(tmp_path, trained(2), tmp_path)
    look(tab, tmp_path / "report.html")
    assert tab.locator("#hardest .image").count() == run_page.HARDEST
    button = tab.locator("#confusion button").first
    button.press("Enter")
    said = tab.locator(".cell-images h3").inner_text()
    assert said == "<b>one</b>, right"
    assert tab.locator(".cell-images .image").count() > 0
    assert "published" in tab.locator("#curves").inner_text()
    assert tab.locator("#classes tbody tr").count() == 3
    tab.set_viewport_size({"width": 400, "height": 800})
    tab.wait_for_function("document.documentElement.scrollWidth === 400")


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_interval_of_a_class_holds_its_score(seeds):
    for row in run_page.class_scores(trained(seeds).scores):
        for key in ("precision", "recall", "f1"):
            assert 0 <= row[key]["low"] <= row[key]["mean"] <= row[key]["high"] <= 1
