"""`bentoml serve` answers with our routes, our statuses and our problems, whatever arrives."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import Server, StartServer
from tests.tiny_bundle import ATTACK, CLEAN

MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def server(start_server: StartServer) -> Server:
    return start_server(body_timeout_s="0.5")


@pytest.fixture(scope="module")
def key(server: Server) -> str:
    return server.create_key("internal")


def test_the_probes_are_ours_and_not_bentomls(server: Server) -> None:
    ready = httpx.get(server.url + "/readyz")
    assert ready.status_code == 200
    assert ready.json()["model"] == {"version": "tiny-1", "self_test": "passed", "problem": None}
    assert ready.json()["redis"]["name"] == "embedded"
    assert httpx.get(server.url + "/livez").json() == {"alive": True}
    assert "weir_build_info" in httpx.get(server.url + "/metrics").text


@pytest.mark.parametrize("path", ["/", "/healthz", "/docs.json", "/schema.json", "/classify/", "/static_content/x"])
def test_paths_of_bentoml_do_not_exist(server: Server, path: str) -> None:
    answer = httpx.get(server.url + path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_text_is_judged(server: Server, key: str) -> None:
    answer = httpx.post(server.url + "/classify", json={"text": ATTACK}, headers={"X-API-Key": key})
    assert (answer.status_code, answer.json()["action"]) == (200, "block")


def test_the_status_of_a_refusal_reaches_the_client(server: Server) -> None:
    headers = {"Authorization": "Bearer wr_" + "x" * 43}
    answer = httpx.post(server.url + "/classify", json={"text": CLEAN}, headers=headers)
    assert answer.status_code == 401
    assert answer.json()["type"] == "urn:weir:problem:unauthenticated"


def test_a_client_cannot_change_its_address_by_a_header(server: Server) -> None:
    """Else every made-up X-Forwarded-For would be a fresh anonymous quota."""
    statuses = [
        httpx.post(server.url + "/classify", json={"text": CLEAN}, headers={"X-Forwarded-For": f"198.51.100.{n}"})
        for n in range(8)
    ]
    assert [answer.status_code for answer in statuses].count(200) == 5
    assert statuses[-1].status_code == 429
    assert int(statuses[-1].headers["retry-after"]) >= 1


def test_a_body_of_20_megabytes_is_refused_by_its_length(server: Server, key: str) -> None:
    headers = {"X-API-Key": key, "Content-Type": "application/json"}
    answer = httpx.post(server.url + "/classify", content=b"x" * 20 * MEGABYTE, headers=headers)
    assert answer.status_code == 413
    assert answer.json()["type"] == "urn:weir:problem:too-large"


def test_a_body_of_20_megabytes_in_chunks_is_refused_while_it_arrives(server: Server, key: str) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(20):
            yield b"x" * MEGABYTE

    headers = {"X-API-Key": key, "Content-Type": "application/json"}
    answer = httpx.post(server.url + "/classify", content=chunks(), headers=headers)
    assert answer.status_code == 413


def test_a_body_that_dribbles_in_is_cut_off_and_its_connection_closed(server: Server) -> None:
    head = b"POST /classify HTTP/1.1\r\nHost: weir\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(head + b'{"text"')
        received = b""
        begun = time.monotonic()
        while part := connection.recv(4096):
            received += part
        assert time.monotonic() - begun < 5
    assert received.startswith(b"HTTP/1.1 408 ")
    assert b"urn:weir:problem:body-timeout" in received


def test_a_service_without_a_usable_model_is_up_and_says_so(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(bundle=str(tmp_path / "nothing"))
    ready = httpx.get(server.url + "/readyz")
    assert ready.status_code == 503
    assert ready.json()["ready"] is False
    assert "nothing" in ready.json()["model"]["problem"]
    answer = httpx.post(server.url + "/classify", json={"text": CLEAN})
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:weir:problem:model-unavailable")
    assert httpx.get(server.url + "/livez").status_code == 200
    assert "weir_ready 0.0" in httpx.get(server.url + "/metrics").text
