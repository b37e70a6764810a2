"""Which model is in production, which were before it, and how to change that in one step.

The store is a folder with one bundle per version and `production.json`, which names the version in production and
the hash of its manifest. Every change is one rename, so a reader sees the old state or the new one.

    python -m models.registry list | show [NAME] | publish DIR | promote VERSION | rollback    [--root DIR]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from models.bundle import MANIFEST, BundleError, load_bundle, write_durably, write_folder

STORE: Final = Path(__file__).parent / "store"
PRODUCTION: Final = "production"
_POINTER: Final = "production.json"


class RegistryError(BundleError):
    """The store does not hold what was asked for; the message says what it holds instead."""


@checked_dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Release:
    """One version, told apart from any other of the same name by the sha256 of its manifest."""

    version: str
    sha256: str


@checked_dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Production:
    """What `production.json` says: the release in production and those it replaced, the latest first."""

    version: str
    sha256: str
    previous: tuple[Release, ...] = ()


def resolve(name: str | Path, root: Path = STORE) -> Path:
    """The folder of "production", of a version in the store, or of a bundle anywhere; raises RegistryError.

    Says nothing about the bundle's content beyond the identity of the one in production: load_bundle checks the rest.
    """
    if str(name) == PRODUCTION:
        pointer = production(root)
        return _verified(Release(pointer.version, pointer.sha256), root)
    for directory in (root / name, Path(name)):
        if (directory / MANIFEST).is_file():
            return directory
    raise RegistryError(f"no bundle {str(name)!r}; {root} holds {', '.join(versions(root)) or 'none'}")


def versions(root: Path = STORE) -> list[str]:
    """Every version in the store, sorted by name."""
    return sorted(path.parent.name for path in root.glob(f"[!.]*/{MANIFEST}"))


def production(root: Path = STORE) -> Production:
    """The pointer to the release in production; raises RegistryError if there is none or it is unreadable."""
    path = root / _POINTER
    try:
        return TypeAdapter(Production).validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise RegistryError(f"nothing is in production: there is no {path}") from error
    except ValidationError as error:
        raise RegistryError(f"{path}: {error.errors(include_url=False, include_input=False)}") from error


def publish(directory: Path, root: Path = STORE) -> str:
    """Copy a bundle into the store under its version and return that; publishing the same one again changes nothing.

    Raises BundleError if the bundle is damaged, RegistryError if the store has another one of that version.
    """
    bundle = load_bundle(directory)
    version = bundle.manifest.version
    target = root / version
    if target.exists():
        if load_bundle(target).sha256 != bundle.sha256:
            raise RegistryError(f"{target} holds a different bundle of that version")
        return version
    contents = {name: bundle.read(name) for name in bundle.manifest.files}
    write_folder(target, {**contents, MANIFEST: (directory / MANIFEST).read_bytes()})
    return version


def promote(version: str, root: Path = STORE) -> Production:
    """Put a published version into production after checking all of it; raises BundleError or RegistryError."""
    if version not in versions(root):
        raise RegistryError(f"no version {version!r}; {root} holds {', '.join(versions(root)) or 'none'}")
    bundle = load_bundle(root / version)
    try:
        now = production(root)
        replaced: tuple[Release, ...] = (Release(now.version, now.sha256), *now.previous)
    except RegistryError:
        if (root / _POINTER).exists():
            raise
        replaced = ()
    if replaced and replaced[0] == Release(version, bundle.sha256):
        return production(root)
    return _point(Production(version, bundle.sha256, replaced), root)


def rollback(root: Path = STORE) -> Production:
    """Put the release before this one back; raises RegistryError if there was none, BundleError if it is damaged."""
    now = production(root)
    if not now.previous:
        raise RegistryError(f"{now.version} is the first version in production; there is nothing to go back to")
    release, *earlier = now.previous
    load_bundle(_verified(release, root))
    return _point(Production(release.version, release.sha256, tuple(earlier)), root)


def _verified(release: Release, root: Path) -> Path:
    path = root / release.version / MANIFEST
    try:
        actual = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise RegistryError(f"{root / _POINTER} names {release.version}: cannot read {path}") from error
    if actual != release.sha256:
        raise RegistryError(f"{path} has sha256 {actual}, {_POINTER} says {release.sha256}")
    return path.parent


def _point(pointer: Production, root: Path) -> Production:
    temporary = root / f".{_POINTER}.{os.getpid()}"
    write_durably(temporary, TypeAdapter(Production).dump_json(pointer, indent=2) + b"\n")
    temporary.replace(root / _POINTER)
    return pointer


def _list(root: Path) -> str:
    try:
        live = production(root).version
    except RegistryError as error:
        live = ""
        print(error, file=sys.stderr)
    return "\n".join(f"{'*' if version == live else ' '} {version}" for version in versions(root))


def _show(name: str, root: Path) -> str:
    directory = resolve(name, root)
    load_bundle(directory)
    facts = json.loads((directory / MANIFEST).read_bytes())
    return json.dumps({"directory": str(directory), **facts}, indent=2)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0, or 1 with the reason on standard error."""
    parser = argparse.ArgumentParser(prog="python -m models.registry", description="Which model is in production.")
    parser.add_argument("--root", type=Path, default=STORE, help="the store (default: %(default)s)")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="every version; a star marks the one in production")
    commands.add_parser("show", help="a bundle's manifest, once every file is checked").add_argument(
        "name", nargs="?", default=PRODUCTION, help="production (default), a version, or a folder"
    )
    commands.add_parser("publish", help="check a bundle and copy it into the store").add_argument(
        "directory", type=Path
    )
    commands.add_parser("promote", help="put a version into production").add_argument("version")
    commands.add_parser("rollback", help="put the release before this one back")
    options = parser.parse_args(arguments)
    try:
        match options.command:
            case "list":
                print(_list(options.root))
            case "show":
                print(_show(options.name, options.root))
            case "publish":
                print(f"{publish(options.directory, options.root)} is published")
            case "promote":
                print(f"{promote(options.version, options.root).version} is in production")
            case "rollback":
                print(f"{rollback(options.root).version} is in production again")
    except BundleError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
