"""What people write to each other: mails, threads, chats, tickets, calendar entries, notes."""

from __future__ import annotations

import random

from data.generators.carriers.draft import Draft, between, one_line
from data.generators.carriers.prose import Bound, domain, paragraph, paragraphs, sentences, title
from data.generators.grammar import Grammar


def mail(grammar: Grammar, rng: random.Random) -> Draft:
    """An e-mail, with or without headers."""
    draft, bound = Draft("mail"), Bound()
    body = between(draft, paragraphs(grammar, rng, domain(grammar, rng), 4), rng)
    head = ""
    if rng.random() < 0.6:
        lines = [
            f"From: {grammar.expand('{first#from} {last#from}', rng, bound)} <{grammar.draw('plain_email', rng)}>",
            f"To: {grammar.draw('plain_email', rng)}",
            f"Subject: {title(grammar, rng)}" + draft.mark("field", prefix=" - ", escape=one_line),
            f"Date: {grammar.draw('date', rng)} {grammar.draw('clock', rng)}",
        ]
        kept = [line for line in lines if "Subject" in line or rng.random() < 0.75]
        head = "\n".join(kept) + "\n\n"
    greeting = grammar.draw("greeting", rng, bound) + "\n\n" if rng.random() < 0.8 else ""
    farewell = "\n\n" + grammar.draw("farewell", rng, bound) if rng.random() < 0.8 else ""
    footer = "\n\n" + grammar.draw("mail_footer", rng) if rng.random() < 0.3 else ""
    draft.text = head + greeting + body + farewell + footer + draft.mark("footnote", prefix="\n\nP.S. ")
    return draft


def thread(grammar: Grammar, rng: random.Random) -> Draft:
    """A reply with the mails that it answers quoted below."""
    draft = Draft("mail_thread")
    rule = domain(grammar, rng)
    blocks = [paragraph(grammar, rng, rule, 1, 3) + draft.mark("start", prefix=" ")]
    for depth in range(1, rng.randint(2, 4)):
        arrow = "> " * depth
        quoted = paragraph(grammar, rng, rule, 1, 4) + draft.mark("middle", prefix=" ", escape=one_line)
        opening = grammar.expand("On {date} at {clock}, {person} <{plain_email}> wrote:", rng)
        blocks.append(f"{arrow[2:]}{opening}\n{arrow}{quoted}")
    draft.text = "\n\n".join(blocks) + draft.mark("end", prefix="\n\n")
    return draft


def chat(grammar: Grammar, rng: random.Random) -> Draft:
    """A chat or call transcript between two or three people."""
    draft = Draft("chat_transcript")
    rule, names = domain(grammar, rng), [grammar.draw("first", rng) for _ in range(rng.randint(2, 3))]
    if rng.random() < 0.3:
        names = ["Customer", "Agent"]
    stamp = rng.random() < 0.5
    lines = [grammar.draw("chat_opening", rng), *sentences(grammar, rng, rule, rng.randint(2, 10))]
    if rng.random() < 0.5:
        lines.insert(rng.randint(1, len(lines)), grammar.draw("people_line", rng))
    rows = []
    place = rng.randrange(len(lines))
    for number, line in enumerate(lines):
        clock = f"[{grammar.draw('clock', rng)}] " if stamp else ""
        said = line + (draft.mark("middle", prefix=" ", escape=one_line) if number == place else "")
        rows.append(f"{clock}{names[number % len(names)]}: {said}")
    speaker = f"{rng.choice(names)}: "
    draft.text = "\n".join(rows) + draft.mark("end", prefix=f"\n{speaker}", escape=one_line)
    return draft


def ticket(grammar: Grammar, rng: random.Random) -> Draft:
    """A support or issue-tracker ticket with comments."""
    draft = Draft("ticket")
    rule = rng.choice(["d_support", "d_devops", "d_logistics", "d_property", domain(grammar, rng)])
    head = grammar.expand("{Ticket|Issue|Case|Bug|Request} {order_id}\n{Title|Subject}: ", rng) + title(grammar, rng)
    facts = [
        grammar.expand("{Status: {open|closed|pending}|State: {new|in review}}", rng),
        grammar.expand("Priority: {low|normal|high|P{n:1-4}}", rng),
        grammar.expand("{Reporter|Opened by|Customer}: {person}", rng),
        grammar.expand("Labels: {tag_word}, {tag_word}", rng) + draft.mark("field", prefix=", ", escape=one_line),
    ]
    body = between(draft, paragraphs(grammar, rng, rule, 3), rng)
    comments = [
        grammar.expand("{Comment by |}{person}{ on {date}|, {clock}|}:", rng)
        + "\n"
        + paragraph(grammar, rng, rule, 1, 3)
        for _ in range(rng.randint(0, 3))
    ]
    tail = "".join(f"\n\n{comment}" for comment in comments)
    last = grammar.expand("\n\n{Comment by |}{person}:\n", rng)
    facts_text = "\n".join(rng.sample(facts, rng.randint(1, len(facts))))
    draft.text = f"{head}\n{facts_text}\n\n{body}{tail}{draft.mark('end', prefix=last)}"
    return draft


def calendar(grammar: Grammar, rng: random.Random) -> Draft:
    """A calendar entry, as iCalendar or as plain lines."""
    draft = Draft("calendar")
    description = " ".join(sentences(grammar, rng, domain(grammar, rng), rng.randint(1, 4)))
    description += draft.mark("field", prefix=" ", escape=one_line)
    location = grammar.expand("{Room {n:1-400}|{address_line}|online|{city}}", rng)
    location += draft.mark("field", prefix=", ", escape=one_line)
    summary = title(grammar, rng)
    if rng.random() < 0.4:
        stamp = grammar.expand("2025{n:10-12}{n:10-28}T{n:10-19}0000Z", rng)
        draft.text = (
            f"BEGIN:VEVENT\nUID:{grammar.expand('{hex:12}', rng)}\nDTSTART:{stamp}\nSUMMARY:{summary}\n"
            f"LOCATION:{location}\nDESCRIPTION:{description}\nEND:VEVENT"
        )
    else:
        when = grammar.expand("{date}, {clock} - {clock}", rng)
        guests = ", ".join(grammar.draw("person", rng) for _ in range(rng.randint(1, 5)))
        draft.text = f"Event: {summary}\nWhen: {when}\nWhere: {location}\nGuests: {guests}\nNotes: {description}"
    return draft


def note(grammar: Grammar, rng: random.Random) -> Draft:
    """A personal note or to-do list."""
    draft = Draft("note")
    lines = sentences(grammar, rng, domain(grammar, rng), rng.randint(1, 5))
    lines += [grammar.draw("people_line", rng) for _ in range(rng.randint(0, 2))]
    rng.shuffle(lines)
    bullet = rng.choice(["- ", "* ", "[ ] ", "", "• "])
    cut = rng.randint(0, len(lines))
    first = [f"{bullet}{line}" for line in lines[:cut]]
    rest = [f"{bullet}{line}" for line in lines[cut:]]
    top = "\n".join(first) + draft.mark("middle", prefix=f"\n{bullet}", escape=one_line)
    draft.text = f"{title(grammar, rng)}\n{top}\n" + "\n".join(rest) + draft.mark("end", prefix=f"\n{bullet}")
    return draft
