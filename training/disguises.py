"""Disguises that an attacker puts round a text that works undisguised, each a pure function from text to text.

They are written apart from `models.decode`, which has to see through them, and from the generators, which train with
some: what they share with either is only what an encoding's standard says.
"""

from __future__ import annotations

import base64
import codecs
import html
import urllib.parse
from collections.abc import Callable
from typing import Final

Disguise = Callable[[str], str]

_LEET: Final = str.maketrans("aeostAEOST", "43057" * 2)
_LOOKALIKE: Final = str.maketrans("aceopxyiACEHKMOPTX", "асеорхуіАСЕНКМОРТХ")  # noqa: RUF001  that is what they are for
_PARAGRAPH: Final = "<p>Opening hours are on the door.</p>"
_FULLWIDTH: Final = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}


def _every(joint: str) -> Disguise:
    """`joint` behind every letter but a word's last."""
    return lambda text: " ".join(joint.join(word) for word in text.split(" "))


def _spaced(joint: str) -> Disguise:
    """Letters apart, words further apart."""
    return lambda text: "   ".join(joint.join(word) for word in text.split())


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _unicode_escapes(text: str) -> str:
    return "".join(f"\\u{unit:04x}" for unit in memoryview(text.encode("utf-16-le")).cast("H"))


def _tags(text: str) -> str:
    return "What a lovely day." + "".join(chr(0xE0000 + ord(letter)) for letter in text if letter.isascii())


DISGUISES: Final[dict[str, Disguise]] = {
    "base64": _base64,
    "base64 in base64": lambda text: _base64(_base64(text)),
    "base64, URL-safe, unpadded": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "base64 in a sentence": lambda text: f"The note reads, in base64: {_base64(text)}",
    "base32": lambda text: base64.b32encode(text.encode()).decode(),
    "hex": lambda text: text.encode().hex(),
    "hex, spaced": lambda text: text.encode().hex(" "),
    "\\x escapes": lambda text: "".join(f"\\x{byte:02x}" for byte in text.encode()),
    "\\u escapes": _unicode_escapes,
    "URL, every byte": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "URL, usual": urllib.parse.quote,
    "HTML entities": lambda text: "".join(f"&#{ord(letter)};" for letter in text),
    "HTML entities, hex": lambda text: "".join(f"&#x{ord(letter):x};" for letter in text),
    "ROT13": lambda text: codecs.encode(text, "rot13"),
    "leetspeak": lambda text: text.translate(_LEET),
    "homoglyphs": lambda text: text.translate(_LOOKALIKE),
    "fullwidth letters": lambda text: text.translate(_FULLWIDTH),
    "zero-width joiners": _every("\u200d"),
    "soft hyphens": _every("\u00ad"),
    "zero-width for spaces": lambda text: text.replace(" ", "\u200b"),
    "combining marks": lambda text: "".join(letter + "\u0336\u0353\u0347" * letter.isalpha() for letter in text),
    "tag characters": _tags,
    "bidi override": lambda text: f"\u202e{text[::-1]}\u202c",
    "reversed": lambda text: text[::-1],
    "letters spaced": _spaced(" "),
    "letters dotted": _spaced("."),
    "HTML comment": lambda text: f"{_PARAGRAPH}<!-- {text} -->",
    "HTML hidden element": lambda text: f'{_PARAGRAPH}<div style="display:none">{html.escape(text)}</div>',
    "Markdown image text": lambda text: f"Opening hours are on the door. ![{text}](https://example.org/a.png)",
    "JSON field": lambda text: '{"status": 200, "note": "' + text.replace("\\", "\\\\").replace('"', '\\"') + '"}',
}  # fmt: skip
"""Name of each disguise, as the tables show it, and the disguise."""
