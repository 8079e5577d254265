"""The command ``eventlog``: each verb calls one function of the library."""

from __future__ import annotations

from eventlog.cli.app import main

__all__ = ["main"]
