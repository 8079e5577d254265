"""``python -m eventlog`` is the command ``eventlog``."""

from __future__ import annotations

from eventlog.cli import main

if __name__ == "__main__":
    main(prog_name="eventlog")
