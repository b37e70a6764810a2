"""Tables, logs, invoices and source code."""

from __future__ import annotations

import random

from data.generators.carriers.draft import Draft, commented, csv_cell, one_line, table_cell
from data.generators.carriers.prose import domain, sentences, title
from data.generators.grammar import Grammar

_COLUMNS = {
    "date": "{iso_date}", "name": "{person}", "city": "{city}", "amount": "{amount}", "product": "{product}",
    "count": "{n:0-900}", "status": "{open|closed|paid|late}", "country": "{country}", "order": "{order_id}",
    "department": "{department}", "score": "{n:1-100}", "year": "{n:1890-2025}", "company": "{company}",
}  # fmt: skip


def csv_table(grammar: Grammar, rng: random.Random) -> Draft:
    """A CSV or tab-separated table with a text column."""
    draft, rule = Draft("csv"), domain(grammar, rng)
    columns = rng.sample(sorted(_COLUMNS), rng.randint(2, 5))
    joint = rng.choice([",", ";", "\t"])
    rows = [joint.join([*columns, "remarks"])]
    for _ in range(rng.randint(2, 9)):
        cells = [grammar.expand(_COLUMNS[column], rng).replace(joint, " ") for column in columns]
        remark = grammar.draw(rule, rng).replace('"', '""') if rng.random() < 0.6 else ""
        rows.append(joint.join([*cells, f'"{remark}{draft.mark("field", " ", "", csv_cell)}"']))
    draft.text = "\n".join(rows) + draft.mark("end", prefix="\n", escape=one_line)
    return draft


def markdown_table(grammar: Grammar, rng: random.Random) -> Draft:
    """A Markdown table with a line above or below it."""
    draft = Draft("markdown_table")
    columns = rng.sample(sorted(_COLUMNS), rng.randint(2, 5))
    rows = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for _ in range(rng.randint(2, 10)):
        cells = [grammar.expand(_COLUMNS[column], rng) for column in columns]
        spot = rng.randrange(len(cells))
        cells[spot] += draft.mark("field", prefix=" ", escape=table_cell)
        rows.append("| " + " | ".join(cells) + " |")
    head = title(grammar, rng) + "\n\n" if rng.random() < 0.5 else ""
    draft.text = draft.mark("start", suffix="\n\n") + head + "\n".join(rows) + draft.mark("end", prefix="\n\n")
    return draft


def log(grammar: Grammar, rng: random.Random) -> Draft:
    """A log file of a service, a build or an access log."""
    draft = Draft("log")
    shape = rng.randrange(3)
    rows = []
    for _ in range(rng.randint(3, 12)):
        stamp = grammar.expand("{iso_date}T{n:10-23}:{n:10-59}:{n:10-59}", rng)
        level = rng.choice(["INFO", "INFO", "WARN", "DEBUG", "ERROR"])
        message = grammar.draw(rng.choice(["log_line", "log_line", "d_devops"]), rng)
        planted = draft.mark("field", prefix=" ", escape=one_line)
        if shape == 0:
            rows.append(f"{stamp} {level} {message}{planted}")
        elif shape == 1:
            rows.append(f"[{stamp}] {level.lower()} {grammar.expand('worker-{n:1-9}', rng)}: {message}{planted}")
        else:
            agent = f'"Mozilla/5.0{draft.mark("field", prefix=" ", escape=one_line)}"'
            rows.append(
                grammar.expand('{n:10-250}.{n:1-250}.0.{n:1-250} - - "GET /{topic_slug} HTTP/1.1" {200|304|404} ', rng)
                + agent
            )
    draft.text = "\n".join(rows) + draft.mark("end", prefix="\n", escape=one_line)
    return draft


def invoice(grammar: Grammar, rng: random.Random) -> Draft:
    """An invoice, quote, packing list or bank statement in plain text."""
    draft = Draft("invoice")
    head = grammar.expand(
        "{Invoice|Quote|Order|Delivery note|Statement} {order_id}\n{company}\n{address_line}\n{Date: |}{date}\n"
        "{Customer|Bill to|Ship to}: {person}, {address_line}",
        rng,
    )
    items = []
    for number in range(1, rng.randint(2, 8)):
        planted = draft.mark("field", prefix=" ", escape=one_line)
        items.append(f"{number}  {grammar.expand('{n:1-40} x {product}', rng)}{planted}  {grammar.draw('amount', rng)}")
    total = grammar.expand(
        "{Total|Sum|Amount due}: {amount}\n{Payable|Due} {by {date}|within {n:7-60} days} to {iban}", rng
    )
    words = " ".join(sentences(grammar, rng, "d_finance", rng.randint(0, 3)))
    draft.text = "\n\n".join([head, "\n".join(items), total, words]).strip() + draft.mark("footnote", prefix="\n\n")
    return draft


def code(grammar: Grammar, rng: random.Random) -> Draft:
    """A source file or diff in one of several languages with comments and docstrings."""
    draft = Draft("code")
    language = rng.choice(["python", "python", "js", "go", "sql", "sh", "java", "css"])
    mark = {"python": "# ", "sh": "# ", "sql": "-- "}.get(language, "// ")
    bound: dict[str, str] = {}
    blocks = [grammar.draw(f"code_{language}", rng, bound) for _ in range(rng.randint(1, 3))]
    pieces = []
    for block in blocks:
        if rng.random() < 0.6:
            pieces.append(mark + grammar.draw(rng.choice(["code_comment", "code_comment", "people_line"]), rng))
        pieces.append(draft.mark("middle", prefix=mark, suffix="\n", escape=commented(mark)) + block)
    docstring = '"""' if language == "python" else "*/"
    opening = '"""' if language == "python" else "/* "
    top = (
        f"{opening}{grammar.draw('code_comment', rng)}{draft.mark('start', prefix=' ')} {docstring}\n"
        if rng.random() < 0.4
        else ""
    )
    literal = draft.mark("field", prefix='\nmessage = "', suffix='"', escape=csv_cell)
    draft.text = top + "\n".join(pieces) + literal + draft.mark("end", prefix=f"\n{mark}", escape=commented(mark))
    if rng.random() < 0.1:
        draft.text = "\n".join(("+" if rng.random() < 0.3 else " ") + line for line in draft.text.split("\n"))
    return draft
