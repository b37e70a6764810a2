"""What is wrong with a policy file, in the words of somebody who writes one.

A mistake is named by line and field, with the likely word for a misspelling:
`policy.yaml:14: tiers.authenticated.burst: must be at least 1, got 0`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml
from pydantic_core import ErrorDetails

Location = tuple[int | str, ...]

_WANTED: Final = {
    "int_type": "must be a whole number without a unit",
    "float_type": "must be a number without a unit",
    "finite_number": "must be a number",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "string_type": "must be text",
    "string_pattern_mismatch": "must be lower-case letters, digits, - and _, beginning with a letter",
    "string_too_short": "must have at least {min_length} character",
    "string_too_long": "must be at most {max_length} characters",
    "too_short": "must have at least {min_length} entry",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
}


class PolicyError(Exception):
    """The policy cannot be used; `problems` holds one sentence for each thing to mend."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def suggestion(word: str, known: Iterable[str]) -> str:
    """A hint at the known word that was meant, or nothing."""
    close = difflib.get_close_matches(word, [str(each) for each in known], n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing to mend: where in the file it is, and a sentence."""

    at: Location
    text: str
    key: str | None = None  # the misspelt key inside `at`, when that is what is wrong


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader keeps the last of two equal keys, which hides half of what somebody wrote."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"duplicate key {key.value!r}", problem_mark=key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep=deep)


def read_yaml(path: Path) -> tuple[object, Mapping[Location, int]]:
    """The content of the file, and the line on which each part of it begins.

    Raises :class:`PolicyError` for a file that is missing, empty, not YAML, or has the same key twice.
    """
    lines: dict[Location, int] = {}
    try:
        loader = _StrictLoader(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        if node is None:
            raise PolicyError([f"{path}:1: the file is empty; it needs tiers and policies"])
        content = loader.construct_document(node)
        _note_lines(node, (), lines)
    except OSError as error:
        raise PolicyError([f"{path}: cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise PolicyError([f"{path}: cannot be read: it is not UTF-8"]) from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise PolicyError([f"{path}:{line}: {error.problem}"]) from None
    except yaml.YAMLError as error:
        raise PolicyError([f"{path}: not YAML: {str(error).splitlines()[0]}"]) from None
    except RecursionError:
        raise PolicyError([f"{path}: nested too deeply, or an alias contains itself"]) from None
    return content, lines


def _note_lines(node: yaml.Node, at: Location, lines: dict[Location, int]) -> None:
    lines.setdefault(at, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            lines[*at, key.value] = key.start_mark.line + 1
            _note_lines(value, (*at, key.value), lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _note_lines(value, (*at, index), lines)


def located(path: Path, mistake: Mistake, lines: Mapping[Location, int]) -> str:
    """The mistake as one line for a person: file, line, field, sentence."""
    at = mistake.at if mistake.key is None else (*mistake.at, mistake.key)
    while at not in lines:
        at = at[:-1]
    field = ".".join(str(part) for part in mistake.at)
    return f"{path}:{lines[at]}: {field}{': ' if field else ''}{mistake.text}"


def mistake_of(detail: ErrorDetails, known_keys: Callable[[Location], Iterable[str]]) -> Mistake:
    """One of pydantic's errors in the words of somebody who writes a policy.

    `known_keys` says which keys a section may have.
    """
    at = tuple(part for part in detail["loc"] if part != "[key]")
    context = detail.get("ctx", {})
    match detail["type"]:
        case "missing":
            return Mistake(at[:-1], f"missing {at[-1]!r}")
        case "extra_forbidden":
            key = str(at[-1])
            return Mistake(at[:-1], f"unknown key {key!r}{suggestion(key, known_keys(at[:-1]))}", key)
        case "value_error":
            return Mistake(at, str(context["error"]))
    wanted = _WANTED.get(detail["type"], detail["msg"]).format_map(context)
    return Mistake(at, f"{wanted}, got {_described(detail['input'])}")


def _described(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case Mapping():
            return "a mapping" if value else "nothing"
        case list():
            return "a list"
    return repr(value)
