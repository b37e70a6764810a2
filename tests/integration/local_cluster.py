"""A real Redis Cluster on loopback: three masters and, if wanted, a replica for each."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from redis import Redis

from serving.embedded_redis import _executable

SLOTS = 16384
BUS = 10_000  # the port of the bus lies so much above a node's own
PATIENCE_S = 60


@dataclass
class Node:
    """One server and a client of it."""

    port: int
    process: subprocess.Popen[bytes]
    client: Redis

    @property
    def id(self) -> str:
        return str(self.client.execute_command("CLUSTER MYID").decode())


class LocalCluster:
    """The first three nodes are born masters, the others replicas of them in the same order."""

    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = nodes

    @property
    def masters(self) -> list[Node]:
        return self.nodes[:3]

    @property
    def replicas(self) -> list[Node]:
        return self.nodes[3:]

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes[:2])

    def form(self) -> None:
        for at, node in enumerate(self.masters):
            slots = range(at * SLOTS // 3, (at + 1) * SLOTS // 3)
            node.client.execute_command("CLUSTER", "ADDSLOTS", *slots)
            node.client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", at + 1)
        for node in self.nodes[1:]:
            node.client.execute_command("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port)
        until(lambda: all(self._knows_all(node) for node in self.nodes))
        for master, replica in zip(self.masters, self.replicas, strict=False):
            replica.client.execute_command("CLUSTER", "REPLICATE", master.id)
        until(lambda: all(self._is_well(node) for node in self.nodes))
        until(lambda: all(node.client.info("replication")["master_link_status"] == "up" for node in self.replicas))

    def _knows_all(self, node: Node) -> bool:
        return int(node.client.execute_command("CLUSTER INFO")["cluster_known_nodes"]) == len(self.nodes)

    def _is_well(self, node: Node) -> bool:
        state = node.client.execute_command("CLUSTER INFO")
        return state["cluster_state"] == "ok" and int(state["cluster_slots_ok"]) == SLOTS

    def serving(self, slot: int) -> Node:
        return next(node for at, node in enumerate(self.masters) if slot < (at + 1) * SLOTS // 3)


def until(true: Callable[[], bool]) -> None:
    ends = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < ends, "the cluster took too long"
        time.sleep(0.05)


@contextmanager
def local_cluster(directory: Path, *, replicas: bool = False) -> Iterator[LocalCluster]:
    with ExitStack() as stack:
        cluster = LocalCluster([_start(stack, directory) for _ in range(6 if replicas else 3)])
        cluster.form()
        yield cluster


def _start(stack: ExitStack, directory: Path) -> Node:
    port = _free_port()
    options = {
        "port": port,
        "bind": "127.0.0.1",
        "dir": directory,
        "cluster-enabled": "yes",
        "cluster-config-file": f"nodes-{port}.conf",
        "cluster-node-timeout": 1500,
        "save": "",
        "logfile": f"{port}.log",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    process = subprocess.Popen([_executable(), *words], stdin=subprocess.DEVNULL)
    stack.callback(process.wait)
    stack.callback(process.kill)
    client = stack.enter_context(closing(Redis(port=port, socket_timeout=PATIENCE_S)))
    until(lambda: _answers(port))
    return Node(port, process, client)


def _answers(port: int) -> bool:
    with closing(socket.socket()) as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    while True:
        with closing(socket.socket()) as one, closing(socket.socket()) as bus:
            one.bind(("127.0.0.1", 0))
            port: int = one.getsockname()[1]
            if port + BUS > 65_535:
                port -= 2 * BUS  # out of the range from which the system takes its own
            try:
                bus.bind(("127.0.0.1", port + BUS))
            except OSError:
                continue
            if not _answers(port):
                return port
