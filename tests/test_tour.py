"""The notebook of the documentation: what it shows, and that it still runs."""

import ast
import importlib
import inspect
import json

import pytest

from tools import run_notebook

SMALLER = {"MAX_EPOCHS, IMAGES = 9, 10_000": "MAX_EPOCHS, IMAGES = 3, 1_000"}
HERE = ("/work", "/home", "/root", "/tmp/", "/usr/", "C:\\")
LARGEST = 500_000  # bytes


@pytest.fixture(scope="module")
def cells():
    """The code cells as they are committed."""
    tour = json.loads(run_notebook.TOUR.read_text())
    return [cell for cell in tour["cells"] if cell["cell_type"] == "code"]


def named(tree):
    """Return what the imports of a module bring, by name."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                found[each.asname or each.name] = importlib.import_module(each.name)
        if isinstance(node, ast.ImportFrom):
            for each in node.names:
                home = importlib.import_module(node.module)
                if not hasattr(home, each.name):
                    importlib.import_module(f"{node.module}.{each.name}")
                found[each.asname or each.name] = getattr(home, each.name)
    return found


def test_what_the_notebook_names_is_there(cells):
    pytest.importorskip("torch")
    tree = ast.parse("\n".join("".join(cell["source"]) for cell in cells))
    names = named(tree)
    names["tuner"] = names["Hyperband"]
    checked = 0
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", None) in names:
            assert hasattr(names[node.value.id], node.attr), ast.unparse(node)
            checked += 1
        if isinstance(node, ast.Call) and hasattr(node.func, "attr"):
            owner = names.get(getattr(node.func.value, "id", None))
            words = [each.arg for each in node.keywords if each.arg]
            if str(getattr(owner, "__name__", "")).startswith(("shared_keras", "port_audit")):
                inspect.signature(getattr(owner, node.func.attr)).bind_partial(
                    *node.args, **dict.fromkeys(words)
                )
    assert checked > 20


def test_the_notebook_is_committed_as_it_ran(cells):
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert {each["output_type"] for each in outputs} <= {
        "stream",
        "display_data",
        "execute_result",
    }
    assert not [each for each in outputs if each.get("name") == "stderr"]
    assert sum("image/png" in each.get("data", ()) for each in outputs) >= 5
    told = json.dumps(outputs)
    assert not [path for path in HERE if path in told] and len(told) < LARGEST
    assert "Verdict: 3 differences" in told and "Verdict: no difference" in told


@pytest.mark.parametrize(
    "instead",
    [
        pytest.param(SMALLER, id="smaller", marks=pytest.mark.long(only=True)),
        pytest.param({}, id="whole", marks=pytest.mark.long),
    ],
)
def test_the_notebook_runs(instead, tmp_path):
    pytest.importorskip("torch")
    (tmp_path / "docs").mkdir()
    tour = run_notebook.run(tmp_path / "docs", instead)
    outputs = [output for cell in tour.cells for output in cell.get("outputs", ())]
    assert not [each for each in outputs if each.get("name") == "stderr"]
    assert "Verdict: no difference" in json.dumps(outputs)
    assert (tmp_path / "tuner_results" / "tour.html").exists()
