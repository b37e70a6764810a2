"""Reads a request body: size first, then type, within a deadline, so that nothing large or slow is ever held."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request

from serving.errors import BodyTimeout, TooLarge, UnsupportedMediaType


async def read_json_body(request: Request, *, max_bytes: int, timeout_s: float) -> bytes:
    """The bytes of a body that is declared as JSON.

    Raises TooLarge (by Content-Length before a byte is read, else as soon as it is exceeded), UnsupportedMediaType,
    BodyTimeout, and ClientDisconnect if the caller leaves.
    """
    headers = request.headers
    declared = headers.get("content-length", "")
    # Without a length the body comes in chunks and is counted as it arrives; the server refuses one that is no number.
    if declared.isascii() and declared.isdigit() and (len(declared) > 18 or int(declared) > max_bytes):
        raise TooLarge(f"The body may have at most {max_bytes} bytes.")
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        raise UnsupportedMediaType
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise UnsupportedMediaType("The body must not be compressed.")
    try:
        async with asyncio.timeout(timeout_s):
            return await _read(request, max_bytes)
    except TimeoutError:
        raise BodyTimeout(f"The body did not arrive within {timeout_s:g} s.") from None


async def _read(request: Request, max_bytes: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > max_bytes:
            raise TooLarge(f"The body may have at most {max_bytes} bytes.")
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)
