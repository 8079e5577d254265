"""What runs: script, module, notebook or prompt; with which arguments, and where."""

from __future__ import annotations

import functools
import os
import shlex
import sys
from pathlib import Path
from typing import Any, NamedTuple

from eventlog.tracking.capture import ray_context, redact
from eventlog.tracking.capture.probe import answers, attempt

ARGV_CHARACTERS = 32_768  # a shell may have put a million file names there


class EntryPoint(NamedTuple):
    """What this process was started to run.

    Attributes:
        kind: script, module (``-m``), command (``-c``), notebook, ray or interactive.
        name: a path (below the working directory without it), or the module's name.
        file: None where the code is in no file.
    """

    kind: str
    name: str
    file: Path | None


def tags() -> dict[str, str]:
    """``source.*`` and ``process.pid``."""
    return answers(
        {
            "source.name": lambda: entry_point().name,
            "source.kind": lambda: entry_point().kind,
            "source.argv": lambda: _argv(tuple(sys.argv)),
            "source.working_dir": os.getcwd,
            "process.pid": os.getpid,
        }
    )


def entry_point() -> EntryPoint:
    """What this process was started to run."""
    if notebook := _notebook():
        return notebook
    if attempt("whether Ray started this", ray_context.is_worker):
        return EntryPoint("ray", "ray worker", None)  # the driver's script it does not know
    main = sys.modules.get("__main__")
    spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    name = spec.name.removesuffix(".__main__") if spec else ""
    if name and name != "__main__":  # that would be a directory or a zip file
        return EntryPoint("module", name, Path(file) if file else None)
    if file and not file.startswith("<") and not hasattr(sys, "ps1"):  # "<stdin>"
        return EntryPoint("script", _below_working_dir(file), Path(file))
    if sys.argv[:1] == ["-c"]:
        return EntryPoint("command", "python -c", None)
    return EntryPoint("interactive", "interactive", None)


def code_directories() -> list[Path]:
    """Where the code may be that a run should remember, the likeliest first.

    The script's directory; but an installed command (``pytest``, a Ray worker) is nobody's
    experiment: then the working directory alone.
    """
    file = entry_point().file
    here = Path.cwd()
    if file is None:
        return [here]
    folder = file.absolute().parent
    installed = {"site-packages", "dist-packages"} & set(folder.parts)
    if installed or folder == Path(sys.executable).parent:
        return [here]
    return [folder, here]


def _notebook() -> EntryPoint | None:
    ipython = sys.modules.get("IPython")
    shell: Any = ipython.get_ipython() if ipython else None
    if type(shell).__name__ != "ZMQInteractiveShell":  # a terminal's shell has another name
        return None
    # VS Code's variable and Jupyter's; others do not tell.
    path = shell.user_ns.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME")
    if not path:
        return EntryPoint("notebook", "notebook", None)
    return EntryPoint("notebook", _below_working_dir(path), Path(path))


def _below_working_dir(path: str) -> str:
    below = os.path.relpath(path)
    return path if below.startswith(os.pardir) else below


@functools.lru_cache(maxsize=1)
def _argv(arguments: tuple[str, ...]) -> str:
    """As a shell takes it, so that it can be read and run again."""
    text = shlex.join(redact.argv(arguments))
    left_out = len(text) - ARGV_CHARACTERS
    if left_out <= 0:
        return text
    return f"{text[:ARGV_CHARACTERS]} … ({left_out} characters more)"
