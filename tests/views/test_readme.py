"""The view in the README is one, and its test says so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.tree import ROOT, run_python

README = (ROOT / "views" / "README.md").read_text()


def write_files(target: Path) -> None:
    for name in ("eventlog_lamps.py", "test_lamps.py"):
        found = re.search(rf"^`{re.escape(name)}`:\n\n```python\n(.*?)^```", README, re.S | re.M)
        assert found
        (target / name).write_text(found[1])


def test_the_kit_passes_it(tmp_path: Path) -> None:
    write_files(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path),
         str(tmp_path / "test_lamps.py")],
        cwd=tmp_path, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 passed" in done.stdout


def test_a_log_shows_it(tmp_path: Path) -> None:
    write_files(tmp_path)
    code = (
        "import eventlog, eventlog_lamps\n"
        "from eventlog.plugin import plugins\n"
        "plugins().register(eventlog_lamps, 'lamps')\n"
        "log = eventlog.open(sys.argv[1])\n"
        "log.append('lamp.lit', 'lamp:desk'); log.append('lamp.lit', 'lamp:door')\n"
        "log.append('lamp.out', 'lamp:desk')\n"
        "print(log.view('lamps').collect().rows())"
    )
    out = run_python(code, str(tmp_path / "log"), before=[tmp_path])
    assert out.strip() == "[('lamp:desk', False), ('lamp:door', True)]"


def test_the_table_of_views_is_that_of_the_built_in_ones() -> None:
    import eventlog
    from eventlog.query.materialize import registered
    from eventlog.testing.view_tests import frame_of

    for name in eventlog.open("memory://x").views():
        view = registered()[name]
        columns = view.frame(view.fold(frame_of([]))).columns
        listed = re.search(rf"^\| `{name}` \|.*\| (.*) \|$", README, re.M)
        assert listed
        assert [re.split(r"[ (]", each)[0] for each in listed[1].split(", ")] == columns
