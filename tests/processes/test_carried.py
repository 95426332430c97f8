"""Files that travel with a job, and back."""

import time
from pathlib import Path
from types import SimpleNamespace

from shared_keras.processes import carried


def test_files_come_back_in_the_order_in_which_they_were_written(tmp_path):
    """What is written last tells that a run is complete."""

    def work(job):
        for name in ("z", "m", "a"):
            (job.folder / name).write_text(name)
            time.sleep(0.02)
        return "done"

    def moved(root):
        folder = carried.below(root, tmp_path)
        folder.mkdir(parents=True, exist_ok=True)
        return SimpleNamespace(folder=folder)

    given = {tmp_path / "given": b"needed"}
    answer = carried.run(work, SimpleNamespace(moved=moved), given, tmp_path)
    assert answer.result == "done"
    assert [path.name for path in answer.files] == ["z", "m", "a"]
    assert {path.parent for path in answer.files} == {tmp_path}
    carried.write(answer.files)
    assert Path(tmp_path, "m").read_text() == "m" and not carried.root_here().exists()
