"""What a run remembers of where it came from: code, command, machine, and place among ranks.

`capture` answers in well under a millisecond after its first call in a process: what cannot change
is asked once, and git only when it may have something new to tell. It never raises, prints, writes
or talks to a network; what it cannot find out is left out, and a debug log says why.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from eventlog.tracking.capture import accelerator, git, host, packages, ranks, source
from eventlog.tracking.capture.probe import attempt

DIFF_FILE = "git/diff.patch"
PACKAGES_FILE = "environment/packages.txt"


@dataclass(frozen=True)
class Captured:
    """What was found.

    Attributes:
        tags: ``git.*``, ``source.*``, ``process.pid``, ``host.*``, ``container.*``, ``python.*``,
            ``rank.*``, ``accelerator.*``, ``torch.*``, and the ids of schedulers (``slurm.*`` …).
        files: path to text, for the run's artifacts: `PACKAGES_FILE`, and `DIFF_FILE` where tracked
            files differ from the commit.
    """

    tags: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


def capture(directory: str | Path | None = None) -> Captured:
    """What there is to know now, without secrets.

    Args:
        directory: where to look for a git repository; by default where the script is, else the
            working directory.

    Example:
        >>> capture().tags["git.branch"]
        'main'
    """
    found = Captured()
    for what, tags in (
        ("the machine", host.tags),
        ("the source", source.tags),
        ("the rank", ranks.tags),
        ("the accelerator", accelerator.tags),
    ):
        found.tags.update(attempt(what, tags) or {})
    if state := attempt("the git repository", lambda: _git(directory)):
        found.tags.update(state.tags())
        if state.diff:
            found.files[DIFF_FILE] = state.diff
    if text := attempt("the packages", packages.requirements):
        found.files[PACKAGES_FILE] = text
    return found


def _git(directory: str | Path | None) -> git.GitState | None:
    places = source.code_directories() if directory is None else [Path(directory)]
    states = (git.read(place) for place in places)
    return next((state for state in states if state), None)
