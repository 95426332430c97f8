"""The picture of a port beside its original."""

import pytest

pytest.importorskip("torch")
from port_audit.findings import Step
from port_audit.picture import along_the_network
from tests.reporting import seen

PATH = [Step("0 / dense", 0.0, 0.0, 1e-6), Step("2 / dense_1", 0.3, 0.0, 1e-6)]


@pytest.mark.parametrize(
    ("cause", "place"), [(None, 1), ("2 / dense_1", 1), ("leaky_re_lu", 0.5), ("0 / dense", 0)]
)
def test_the_line_stands_where_the_first_cause_lies(cause, place):
    """An activation has no place of its own: it lies before the layer whose outputs differ."""
    figure = along_the_network(PATH, "port.py beside original.py", cause)
    said = "the two part here" + (f": {cause}" if cause else "")
    (line,) = [each for each in figure.axes[0].lines if each.get_label() == said]
    assert set(line.get_xdata()) == {place}
    assert said in [text.get_text() for text in figure.legends[0].get_texts()]
    assert not seen.cut(figure)
