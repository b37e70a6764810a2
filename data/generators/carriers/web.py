"""Web pages, reviews and knowledge passages."""

from __future__ import annotations

import random

from data.generators.carriers.draft import Draft, between, html_text, one_line
from data.generators.carriers.prose import domain, paragraph, paragraphs, sentences, title
from data.generators.grammar import Grammar

_HIDDEN = (
    ('<div style="display:none">', "</div>"),
    ('<span style="font-size:0">', "</span>"),
    ('<p style="color:#fff;background:#fff">', "</p>"),
    ("<p hidden>", "</p>"),
    ('<div aria-hidden="true" class="sr-only">', "</div>"),
    ("<!-- ", " -->"),
    ("<!--\n", "\n-->"),
    ("<noscript>", "</noscript>"),
)


def html_page(grammar: Grammar, rng: random.Random) -> Draft:
    """An HTML page with comments, hidden elements, attributes and meta fields, some of them innocent."""
    draft, rule = Draft("html"), domain(grammar, rng)
    head = title(grammar, rng)
    blocks: list[str] = []
    for text in paragraphs(grammar, rng, rule, 4):
        opening, closing = rng.choice([("<p>", "</p>"), ("<li>", "</li>"), ('<div class="text">', "</div>")])
        blocks.append(opening + text + draft.mark("middle", prefix=" ", escape=html_text) + closing)
    if rng.random() < 0.6:
        opening, closing = rng.choice(_HIDDEN)
        blocks.insert(
            rng.randint(0, len(blocks)), opening + grammar.draw(rng.choice([rule, "people_line"]), rng) + closing
        )
    opening, closing = rng.choice(_HIDDEN)
    hidden = draft.mark("field", prefix=f"\n{opening}", suffix=closing)
    alt = draft.mark("attribute", prefix=" ", escape=_quoted)
    image = f'<img src="/{grammar.draw("topic_slug", rng)}.jpg" alt="{grammar.draw("heading", rng)}{alt}">'
    blocks.insert(rng.randint(0, len(blocks)), image + hidden)
    meta = f'<meta name="description" content="{grammar.draw(rule, rng)}{draft.mark("attribute", " ", "", _quoted)}">\n'
    top = f"<html><head><title>{head}</title>\n{meta if rng.random() < 0.4 else ''}</head><body>\n"
    if rng.random() < 0.4:
        top = ""
    planted = draft.mark("footnote", prefix=" ", escape=html_text)
    foot = f"<footer>{grammar.expand('{company}, {n:2012-2026}', rng)}{planted}</footer>"
    draft.text = f"{top}<h1>{head}</h1>\n" + "\n".join(blocks) + f"\n{foot}" + ("</body></html>" if top else "")
    return draft


def _quoted(text: str) -> str:
    return one_line(html_text(text)).replace('"', "&quot;")


def article(grammar: Grammar, rng: random.Random) -> Draft:
    """An encyclopaedic or news passage as a retriever would return it."""
    draft = Draft("passage")
    rule = rng.choice(
        ["d_history", "d_nature", "d_science", "d_energy", "d_sport", "d_assistants", domain(grammar, rng)]
    )
    body = between(draft, paragraphs(grammar, rng, rule, 7), rng)
    source = grammar.expand(
        "\n\n{Source: {link}|[{n:1-30}] {last}, {n:1970-2025}, p. {n:2-300}|See also: {topic}; {topic}}", rng
    )
    head = title(grammar, rng) + "\n\n" if rng.random() < 0.6 else ""
    note = draft.mark("footnote", prefix=f"\n[{rng.randint(1, 9)}] ")
    draft.text = head + body + (source if rng.random() < 0.5 else "") + note
    return draft


def review(grammar: Grammar, rng: random.Random) -> Draft:
    """A product, hotel or restaurant review, or a social-media post with replies."""
    draft = Draft("review")
    rule = rng.choice(["d_review", "d_review", "d_travel", "d_cooking", "d_events"])
    texts = [" ".join(sentences(grammar, rng, rule, rng.randint(1, 5))) for _ in range(rng.choice([1, 1, 2, 3]))]
    head = grammar.expand("{{n:1-5}/5 stars|Rating: {n:1-5}|★★★☆☆|@{first}{n:1-99}|{first}, {date}}\n", rng)
    draft.text = head + between(draft, texts, rng, "\n" if rng.random() < 0.5 else "\n\n")
    if rng.random() < 0.3:
        draft.text += grammar.expand("\n#{tag_word} #{tag_word}", rng)
    return draft


def markdown_page(grammar: Grammar, rng: random.Random) -> Draft:
    """A README, wiki page or manual in Markdown."""
    draft, rule = Draft("markdown"), domain(grammar, rng)
    parts = [f"# {title(grammar, rng)}"]
    for _ in range(rng.randint(1, 4)):
        parts.append(f"## {title(grammar, rng)}")
        parts.append(paragraph(grammar, rng, rule, 1, 4))
        if rng.random() < 0.4:
            steps = [grammar.draw("people_line", rng) for _ in range(rng.randint(2, 4))]
            parts.append("\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1)))
    link = grammar.expand("[{topic_slug}]({link}", rng)
    hover = draft.mark("attribute", prefix=' "', suffix='"', escape=_quoted)
    parts.append(f"See {link}{hover}).")
    if rng.random() < 0.5:
        parts.append(f"<!-- {grammar.draw('people_line', rng)} -->")
    comment = draft.mark("field", prefix="\n\n[//]: # (" if rng.random() < 0.4 else "\n\n<!-- ", suffix="")
    draft.text = between(draft, parts, rng) + comment
    return draft


def paper(grammar: Grammar, rng: random.Random) -> Draft:
    """A PDF as extraction tools print it: page headers, broken lines, footnotes."""
    draft, rule = Draft("pdf_text"), domain(grammar, rng)
    body = between(draft, paragraphs(grammar, rng, rule, 6), rng)
    lines = []
    width = rng.randint(55, 95)
    for block in body.split("\n"):
        line = ""
        for word in block.split(" "):
            if len(line) + len(word) > width:
                lines.append(line)
                line = ""
            line = f"{line} {word}" if line else word
        lines.append(line)
    footer = grammar.expand("{Page {n:1-40} of {n:41-90}|{n:1-90}|{company} - confidential - {n:1-40}}", rng)
    draft.text = f"{title(grammar, rng).upper()}\n" + "\n".join(lines)
    draft.text += draft.mark("footnote", prefix=f"\n{rng.randint(1, 9)} ") + f"\n\f{footer}"
    return draft
