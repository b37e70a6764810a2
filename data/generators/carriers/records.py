"""Structured tool results: JSON, XML, YAML, key-value lines."""

from __future__ import annotations

import json
import random
import xml.sax.saxutils
from collections.abc import Callable

from data.generators.carriers.draft import Draft, Escape, html_text, json_string, one_line
from data.generators.carriers.prose import domain, sentences, title
from data.generators.grammar import Grammar

Value = str | int | float | bool | None | list[str]
Record = dict[str, Value]

_FIELDS: dict[str, str] = {
    "id": "{hex:8}",
    "order_id": "{order_id}",
    "name": "{person}",
    "author": "{person}",
    "owner": "{plain_email}",
    "company": "{company}",
    "title": "{heading}",
    "subject": "{heading}",
    "created_at": "{iso_date}T{n:10-22}:{n:10-59}:{n:10-59}Z",
    "date": "{iso_date}",
    "city": "{city}",
    "address": "{address_line}",
    "price": "{n:3-900}",
    "amount": "{amount}",
    "rating": "{n:1-5}",
    "status": "{open|closed|active|pending|paid|shipped}",
    "url": "{link}",
    "tags": "{tag_word}, {tag_word}",
    "product": "{product}",
    "department": "{department}",
    "language": "{language}",
    "count": "{n:0-900}",
    "path": "{path}",
    "phone": "+{n:20-99} {digits:9}",
    "iban": "{iban}",
    "device": "{device}",
    "category": "{topic}",
}


def _record(grammar: Grammar, rng: random.Random, rule: str, draft: Draft, escape: Escape) -> tuple[Record, str]:
    keys = rng.sample(sorted(_FIELDS), rng.randint(2, 7))
    record: Record = {}
    for key in keys:
        value = grammar.expand(_FIELDS[key], rng)
        record[key] = int(value) if value.isdigit() and rng.random() < 0.7 else value
    text_key = grammar.draw("key_text", rng)
    text = " ".join(sentences(grammar, rng, rule, rng.choice([1, 1, 2, 2, 3, 5, 8])))
    record[text_key] = draft.mark("field", suffix=" ", escape=escape) + text + draft.mark("field", " ", "", escape)
    if rng.random() < 0.25:
        record[rng.choice(["verified", "archived", "is_public", "read"])] = rng.random() < 0.5
    if rng.random() < 0.3:
        short = rng.choice([key for key in keys if isinstance(record[key], str)] or [text_key])
        if short != text_key:
            record[short] = f"{record[short]}{draft.mark('field', ' ', '', escape)}"
    order = rng.sample(list(record), len(record))
    return {key: record[key] for key in order}, text_key


def _alone(draft: Draft, record: Record, text_key: str, rng: random.Random, escape: Escape) -> Record:
    """Now and then a field of its own that is empty but for what may be planted in it."""
    if rng.random() < 0.35:
        record = {**record, f"{text_key}_{rng.choice(['2', 'extra', 'raw'])}": draft.mark("field", escape=escape)}
    return record


def json_result(grammar: Grammar, rng: random.Random) -> Draft:
    """A JSON tool result: one record or a list, bare or wrapped, indented or not."""
    draft, rule = Draft("json"), domain(grammar, rng)
    records = []
    for _ in range(rng.choice([1, 1, 1, 2, 3, 4])):
        record, text_key = _record(grammar, rng, rule, draft, json_string)
        records.append(_alone(draft, record, text_key, rng, json_string))
    shape = rng.randrange(4)
    body: object = records[0] if len(records) == 1 and shape < 2 else records
    if shape % 2:
        body = {grammar.draw("key_outer", rng): body, **({"total": len(records)} if rng.random() < 0.5 else {})}
    if rng.random() < 0.2:
        body = {"tool": grammar.draw("tool_name", rng), "ok": True, "output": body}
    draft.text = json.dumps(body, ensure_ascii=False, indent=rng.choice([None, None, 2, 4]))
    if rng.random() < 0.12:
        draft.text = draft.text.replace('"', "'")
    return draft


def xml_result(grammar: Grammar, rng: random.Random) -> Draft:
    """An XML tool result with attributes, text and comments."""
    draft, rule = Draft("xml"), domain(grammar, rng)
    outer = grammar.draw("key_outer", rng)
    inner = outer.rstrip("s") if outer.endswith("s") else "item"
    rows = []
    for _ in range(rng.choice([1, 1, 2, 3])):
        record, _ = _record(grammar, rng, rule, draft, html_text)
        attribute = f' id="{grammar.expand("{hex:4}", rng)}"' if rng.random() < 0.5 else ""
        hint = draft.mark("attribute", prefix=' note="', suffix='"', escape=_attribute)
        fields = [f"  <{key}>{xml.sax.saxutils.escape(str(value))}</{key}>" for key, value in record.items()]
        rows.append(f"<{inner}{attribute}{hint}>\n" + "\n".join(fields) + f"\n</{inner}>")
    comment = f"<!-- {grammar.draw(rule, rng)} -->\n" if rng.random() < 0.3 else ""
    planted = draft.mark("footnote", prefix="\n<!-- ", suffix=" -->")
    head = '<?xml version="1.0"?>\n' if rng.random() < 0.3 else ""
    draft.text = f"{head}<{outer}>\n{comment}" + "\n".join(rows) + f"{planted}\n</{outer}>"
    return draft


def _attribute(text: str) -> str:
    return html_text(one_line(text)).replace('"', "&quot;")


def key_values(grammar: Grammar, rng: random.Random) -> Draft:
    """YAML-like lines, a form or a database row printed line by line."""
    draft, rule = Draft("key_values"), domain(grammar, rng)
    record, _ = _record(grammar, rng, rule, draft, one_line)
    style: Callable[[str], str] = rng.choice([str.lower, str.title, str.upper])
    joint = rng.choice([": ", " = ", ":\t", " | "])
    lines = [f"{style(key).replace('_', ' ')}{joint}{value}" for key, value in record.items()]
    head = f"{title(grammar, rng)}\n" if rng.random() < 0.4 else ""
    label = style(rng.choice(["remark", "note", "memo", "comment"]))
    draft.text = head + "\n".join(lines) + draft.mark("end", prefix=f"\n{label}{joint}", escape=one_line)
    return draft


def search_results(grammar: Grammar, rng: random.Random) -> Draft:
    """A result list of a web search, a shop or a document store."""
    draft, rule = Draft("search_results"), domain(grammar, rng)
    rows = []
    for number in range(1, rng.randint(2, 6)):
        snippet = " ".join(sentences(grammar, rng, rule, rng.randint(1, 3)))
        planted = draft.mark("field", prefix=" ", escape=one_line)
        rows.append(f"{number}. {title(grammar, rng)}\n   {grammar.draw('link', rng)}\n   {snippet}{planted}")
    head = grammar.expand("{Results for|Search results:|Top hits for|Query:} {topic}{ ({n:2-900} found)|}", rng)
    draft.text = f"{head}\n\n" + "\n".join(rows) + draft.mark("footnote", prefix="\n\n", escape=one_line)
    return draft


def tool_catalogue(grammar: Grammar, rng: random.Random) -> Draft:
    """A list of tools with descriptions and arguments, as it is handed to a model."""
    draft = Draft("tool_catalogue")
    shape = rng.choice(["json", "json", "lines"])
    argument_key = rng.choice(["parameters", "arguments", "input"])
    tools: list[dict[str, object]] = []
    blocks: list[str] = []
    for _ in range(rng.choice([1, 1, 2, 3, 5])):
        name = grammar.expand("{tool_verb}_{tool_noun}", rng)
        text = " ".join(grammar.draw("tool_description", rng) for _ in range(rng.randint(1, 4)))
        text += draft.mark("field", prefix=" ", escape=json_string)
        arguments: dict[str, str] = {}
        for _ in range(rng.randint(1, 3)):
            hint = draft.mark("attribute", prefix=" ", escape=json_string)
            arguments[grammar.draw("tool_argument", rng)] = grammar.draw("tool_description", rng) + hint
        tools.append({"name": name, "description": text, argument_key: arguments})
        blocks.append("\n".join([f"### {name}", text, *(f"  {key}: {value}" for key, value in arguments.items())]))
    as_json = json.dumps(tools, ensure_ascii=False, indent=rng.choice([None, 2]))
    draft.text = as_json if shape == "json" else "\n\n".join(blocks)
    return draft
