"""An HTTP server that gives prepared answers, for what a real one cannot be made to say."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence


class Served(list[str]):
    """The methods asked for, in order; `heads` are the requests' heads."""

    def __init__(self) -> None:
        super().__init__()
        self.heads: list[bytes] = []


class CannedServer:
    """Serves one request a connection, with the next answer; the last one for ever."""

    def __init__(self, listener: socket.socket, answers: Sequence[bytes]) -> None:
        self._listener, self._answers = listener, list(answers)
        self.port: int = listener.getsockname()[1]
        self.served = Served()

    def serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection, contextlib.suppress(ConnectionError):
                    self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        head = _until(connection, b"\r\n\r\n")
        if not head:
            return
        self.served.append(head.split(b" ", 1)[0].decode())
        self.served.heads.append(head)
        if b"100-continue" in head.lower():
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.sendall(self._answers.pop(0) if len(self._answers) > 1 else self._answers[0])
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass


def _until(connection: socket.socket, end: bytes) -> bytes:
    data = b""
    while end not in data:
        part = connection.recv(65536)
        if not part:
            return b""
        data += part
    return data


@contextlib.contextmanager
def canned_server(answers: Sequence[bytes]) -> Iterator[CannedServer]:
    """A `CannedServer` on loopback, as long as the context lasts."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = CannedServer(listener, answers)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        # A close alone would leave the thread in its accept.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)
