"""As much of a websocket client (RFC 6455) as it takes to see that one answers, and how it ends."""

from __future__ import annotations

import base64
import os
import socket
import struct
from typing import Self

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
_TWO_BYTES, _EIGHT_BYTES = 126, 127  # in place of a length: it follows
_NO_CODE = 1005  # of a close frame that gives none


class NotAWebSocket(Exception):
    """The server does not speak the protocol; the message says what it did."""


class WebSocket:
    """One connection over ``sock``, whose timeout holds for every step."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    @classmethod
    def open(cls, sock: socket.socket, host: str, path: str) -> Self:
        """Makes the handshake. Raises :class:`NotAWebSocket` and ``OSError``."""
        key = base64.b64encode(os.urandom(16)).decode()
        sock.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        # Byte by byte: what follows the head is already the websocket's.
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = sock.recv(1)
            if not byte:
                raise NotAWebSocket("the connection was closed in the handshake")
            head += byte
        status = head.split(b"\r\n", 1)[0].decode(errors="replace")
        if " 101" not in status:
            raise NotAWebSocket(f"{path} answers {status!r}, not 101 Switching Protocols")
        return cls(sock)

    def send(self, kind: int, payload: bytes) -> None:
        """One frame of at most 125 bytes, masked as a client must."""
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        self._sock.sendall(bytes((0x80 | kind, 0x80 | len(payload))) + mask + masked)

    def receive(self) -> tuple[int, bytes]:
        """The next frame's kind and payload. Raises :class:`NotAWebSocket` when there is none."""
        first, second = self._read(2)
        length = second & 0x7F
        if length == _TWO_BYTES:
            (length,) = struct.unpack(">H", self._read(2))
        elif length == _EIGHT_BYTES:
            (length,) = struct.unpack(">Q", self._read(8))
        return first & 0x0F, self._read(length)

    def await_kind(self, kind: int) -> bytes:
        """The payload of the next frame of a kind; pings are answered, others passed over."""
        while True:
            found, payload = self.receive()
            if found == kind:
                return payload
            if found == PING:
                self.send(PONG, payload)
            if found == CLOSE:
                raise NotAWebSocket(f"it was closed with code {close_code(payload)}")

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self._sock.recv(count - len(data))
            if not more:
                raise NotAWebSocket("the connection was cut without a close frame")
            data += more
        return data


def close_code(payload: bytes) -> int:
    """What a close frame says, ``1001`` for instance."""
    return int.from_bytes(payload[:2], "big") if len(payload) > 1 else _NO_CODE
