"""What several files of these tests share."""

import pytest

from tests.hyperband import healthy_search


@pytest.fixture(scope="session")
def done(tmp_path_factory):
    """A finished search of `healthy_search`."""
    tuner = healthy_search.make(tmp_path_factory.mktemp("done"), keep_checkpoints=1)
    return healthy_search.search(tuner)
