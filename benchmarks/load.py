"""A lean HTTP client and our own texts, so that a benchmark measures the service and not the client."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

_WORDS = (
    "the a of to and in is it for on with as at by from please write tell me about what how can you explain our team"
    " project report meeting travel budget garden recipe history weather music summer bridge window table letter number"
    " question answer system model data market doctor school river mountain coffee painting engine library morning"
    " evening quiet simple careful better together between because before after never always perhaps"
)


def texts(count: int, seed: int, *, median: float = 40.0, sigma: float = 0.85, longest: int = 1_500) -> list[str]:
    """Harmless sentences whose lengths in words are lognormal, as chat traffic's are."""
    draw = random.Random(seed)
    words = _WORDS.split()
    lengths = [min(max(int(draw.lognormvariate(0.0, sigma) * median), 4), longest) for _ in range(count)]
    return [" ".join(draw.choices(words, k=length)) for length in lengths]


def request_bytes(text: str) -> bytes:
    """A whole HTTP/1.1 request for one text."""
    body = orjson.dumps({"text": text})
    head = ("POST /classify HTTP/1.1", "Host: weir", "Content-Type: application/json", f"Content-Length: {len(body)}")
    return "\r\n".join((*head, "", "")).encode() + body


def connect(port: int) -> socket.socket:
    """A kept-alive connection without Nagle's delay."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def ask(connection: socket.socket, request: bytes) -> dict[str, Any]:
    """Send one request and read its JSON answer. Raises RuntimeError for any status but 200."""
    connection.sendall(request)
    received = connection.recv(65_536)
    while b"\r\n\r\n" not in received:
        received += connection.recv(65_536)
    head, _, body = received.partition(b"\r\n\r\n")
    missing = _content_length(head) - len(body)
    while missing > 0:
        part = connection.recv(65_536)
        body += part
        missing -= len(part)
    return _checked(head, body)


async def ask_all(port: int, requests: Sequence[bytes], concurrency: int) -> list[dict[str, Any]]:
    """Every request once, `concurrency` at a time, each on its own kept-alive connection."""
    loop = asyncio.get_running_loop()
    waiting = iter(requests)
    clients = [_Client(waiting, loop.create_future()) for _ in range(concurrency)]
    for client in clients:
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc]
    heads_and_bodies = await asyncio.gather(*(client.done for client in clients))
    return [_checked(head, body) for answers in heads_and_bodies for head, body in answers]


class _Client(asyncio.Protocol):
    """Sends the next of the requests that all clients share as soon as it has an answer; `done` holds its answers."""

    def __init__(self, waiting: Iterator[bytes], done: asyncio.Future[list[tuple[bytes, bytes]]]) -> None:
        self.done = done
        self._waiting = waiting
        self._received = b""
        self._answers: list[tuple[bytes, bytes]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if end and len(body) == _content_length(head):
            self._answers.append((head, body))
            self._received = b""
            self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or RuntimeError("the service closed a connection"))

    def _next(self) -> None:
        request = next(self._waiting, None)
        if request is not None:
            self._transport.write(request)
            return
        self.done.set_result(self._answers)
        self._transport.close()


def _content_length(head: bytes) -> int:
    return int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])


def _checked(head: bytes, body: bytes) -> dict[str, Any]:
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"{head.splitlines()[0].decode()}: {body[:200].decode()}")
    answer: dict[str, Any] = orjson.loads(body)
    return answer
