"""A model and its facts in one folder, checked byte for byte before anything is loaded.

A bundle is `manifest.json`, `model.onnx`, `tokenizer.json` and `MODEL_CARD.md`. The manifest is written last and
names the sha256 of every other file, so its presence means that the bundle is whole. Idea: nanochat's checkpoints
("the manifest is written last") and its habit of loading a model only together with its metadata.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, ConfigDict, Field, JsonValue, StringConstraints, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from data.schema import CATEGORIES, Category, Direction

MANIFEST: Final = "manifest.json"
MODEL: Final = "model.onnx"
TOKENIZER: Final = "tokenizer.json"
MODEL_CARD: Final = "MODEL_CARD.md"
REQUIRED: Final = frozenset({MODEL, TOKENIZER, MODEL_CARD})
FORMAT: Final = 1

_STRICT: Final = ConfigDict(extra="forbid", allow_inf_nan=False)


class BundleError(Exception):
    """A bundle is not what its manifest says; the message names the file, hash or field."""


def _complete(values: Mapping[Category, float]) -> Mapping[Category, float]:
    missing = [category.value for category in CATEGORIES if category not in values]
    if missing:
        raise ValueError(f"no value for {', '.join(missing)}")
    return values


def _in_order(labels: tuple[Category, ...]) -> tuple[Category, ...]:
    if labels != CATEGORIES:
        raise ValueError(
            f"labels must be {[c.value for c in CATEGORIES]} in this order, got {[c.value for c in labels]}"
        )
    return labels


FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\z")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}\z")]
PerCategory = Annotated[Mapping[Category, float], AfterValidator(_complete)]
Positives = Annotated[Mapping[Category, Annotated[float, Field(gt=0)]], AfterValidator(_complete)]
NonNegatives = Annotated[Mapping[Category, Annotated[float, Field(ge=0)]], AfterValidator(_complete)]
Thresholds = Annotated[Mapping[Category, Annotated[float, Field(ge=0, le=1)]], AfterValidator(_complete)]


@checked_dataclass(frozen=True, config=_STRICT)
class SelfTest:
    """A prompt whose answer is known: flagged for `category`, or (None) for nothing at all."""

    text: str
    direction: Direction
    category: Category | None


@checked_dataclass(frozen=True, config=_STRICT)
class Manifest:
    """The facts of a model.

    `max_length` is a window in tokens with its two special ones, `stride` the step between windows. With
    m = max over windows of (logit - window_penalty * ln(windows that it pays for)), a score is
    sigmoid(m / temperature + bias), see models.aggregate; `operating_points` holds the
    threshold on that score by point name and category. `self_test` is judged at `self_test_point`. `scripts` are
    those that the model was found to read (training.languages); letters of others count as unread. `commit` is that of
    the export; `commits` names those of "data", "training" and "export", as far as they are known.
    """

    format: Literal[1]
    version: FileName
    labels: Annotated[tuple[Category, ...], AfterValidator(_in_order)]
    max_length: Annotated[int, Field(ge=3)]
    stride: Annotated[int, Field(ge=1)]
    temperatures: Positives
    biases: PerCategory
    window_penalties: NonNegatives
    operating_points: Mapping[str, Thresholds]
    embedding_size: Annotated[int, Field(ge=1)]
    self_test: tuple[SelfTest, ...]
    files: Mapping[FileName, Sha256]
    data_hash: str
    commit: str
    created: str
    base_model: str
    licences: tuple[str, ...]
    metrics: Mapping[str, JsonValue]
    training: Mapping[str, JsonValue]
    self_test_point: str = "fpr_1%"
    scripts: tuple[str, ...] = ("latin",)
    commits: Mapping[str, str] = Field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse facts that contradict each other."""
        if self.stride > self.max_length - 2:
            raise ValueError(f"stride {self.stride} would skip tokens: a window holds {self.max_length - 2}")
        if self.self_test_point not in self.operating_points:
            raise ValueError(f"self_test_point {self.self_test_point!r} is not among the operating points")
        if {test.category is None for test in self.self_test} != {True, False}:
            raise ValueError("self_test needs a known-good and a known-bad prompt")
        if missing := REQUIRED - self.files.keys():
            raise ValueError(f"files lacks {', '.join(sorted(missing))}")
        if MANIFEST in self.files:
            raise ValueError(f"files names {MANIFEST}, which cannot hold its own hash")


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified bundle on disk. `sha256` is the manifest's own hash: the identity of the whole bundle."""

    directory: Path
    manifest: Manifest
    sha256: str

    def read(self, name: str) -> bytes:
        """The bytes of one file, checked again, so that what is loaded is what was verified. Raises BundleError."""
        return _read_verified(self.directory, name, self.manifest.files[name])


def write_bundle(directory: Path, *, manifest_fields: Mapping[str, object], files: Mapping[str, Path | bytes]) -> Path:
    """Write a bundle under a temporary name and rename it to `directory`, which must not exist yet.

    `files` gives each file's content or the path to copy it from; `manifest_fields` everything of Manifest but
    `format` and `files`. Raises BundleError if the facts are wrong or the folder exists.
    """
    directory = Path(directory)
    if directory.exists():
        raise BundleError(f"{directory} already exists; a bundle is never overwritten")
    contents = {name: source if isinstance(source, bytes) else source.read_bytes() for name, source in files.items()}
    hashes = {name: _sha256(content) for name, content in contents.items()}
    manifest = _checked(
        MANIFEST, lambda: _adapter().validate_python({**manifest_fields, "format": FORMAT, "files": hashes})
    )
    write_folder(directory, {**contents, MANIFEST: _adapter().dump_json(manifest, indent=2) + b"\n"})
    return directory


def write_folder(directory: Path, contents: Mapping[str, bytes]) -> None:
    """Write files in the order given under a temporary name and rename the whole to `directory`, all or nothing."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    try:
        for name, content in contents.items():
            write_durably(temporary / name, content)
        temporary.chmod(0o755)
        temporary.rename(directory)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def load_bundle(directory: Path) -> Bundle:
    """Read the manifest and check every file against its hash; raises BundleError naming what is wrong."""
    directory = Path(directory)
    path = directory / MANIFEST
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot read the manifest ({error.strerror})") from error
    manifest = _checked(str(path), lambda: _adapter().validate_json(content, strict=True))
    for name, expected in manifest.files.items():
        _read_verified(directory, name, expected)
    return Bundle(directory=directory, manifest=manifest, sha256=_sha256(content))


def write_durably(path: Path, content: bytes) -> None:
    """Write a file and wait until it is on disk, so that a rename after it never exposes half of it."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@functools.cache
def _adapter() -> TypeAdapter[Manifest]:
    return TypeAdapter(Manifest)


def _checked(source: str, validate: Callable[[], Manifest]) -> Manifest:
    try:
        return validate()
    except ValidationError as error:
        raise BundleError(f"{source}: {'; '.join(_complaints(error))}") from error


def _complaints(error: ValidationError) -> Iterable[str]:
    for item in error.errors(include_url=False, include_input=False):
        field = ".".join(str(part) for part in item["loc"])
        yield f"{field}: {item['msg']}" if field else item["msg"]


def _read_verified(directory: Path, name: str, expected: str) -> bytes:
    path = directory / name
    if not path.resolve().is_relative_to(directory.resolve()):
        raise BundleError(f"{path}: leads out of the bundle")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: named by the manifest, cannot be read ({error.strerror})") from error
    if (actual := _sha256(content)) != expected:
        raise BundleError(f"{path}: sha256 is {actual}, the manifest says {expected}")
    return content


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
