"""A server that accepts connections and never says a word."""

from __future__ import annotations

import socket


def silent_listener() -> socket.socket:
    """It listens on a free port of loopback; the kernel accepts, nobody reads."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    return listener
