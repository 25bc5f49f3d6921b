"""A proxy on loopback that passes requests on and, when told to, keeps the answer to itself and hangs up."""

from __future__ import annotations

import contextlib
import socket
import threading


class Proxy:
    """Forwards to `target_port`. `lost` counts the answers that were dropped after they had arrived here."""

    def __init__(self, target_port: int) -> None:
        self.lost = 0
        self.drop = threading.Event()
        """While set, no answer is passed on."""
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Proxy:
        """Listen."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Listen no more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._target_port)) as target:
            while (request := _message(client)) is not None:
                target.sendall(request)
                answer = _message(target)
                if answer is None:
                    return
                if self.drop.is_set():
                    self.lost += 1
                    return
                client.sendall(answer)


def _message(connection: socket.socket) -> bytes | None:
    """One HTTP message with a Content-Length; None at the end of the connection."""
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = connection.recv(65_536)
        if not chunk:
            return None
        received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    lengths = [line.partition(b":")[2] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    missing = int(lengths[0] if lengths else 0) - len(body)
    while missing > 0:
        chunk = connection.recv(missing)
        if not chunk:
            return None
        received += chunk
        missing -= len(chunk)
    return received
