"""Characters that nobody sees: which they are, and which of them are spelling where they stand.

`INVISIBLE` finds them with the name of what they are as its group; what is "kept" belongs to the text.
"""

from __future__ import annotations

import re
from typing import Final


def _class(*codes: str) -> str:
    """The inside of a character class from hexadecimal code points and ranges."""
    spans = (code.split("-") for table in codes for code in table.split())
    return "".join("-".join(f"\\U{int(end, 16):08x}" for end in span) for span in spans)


# Default_Ignorable_Code_Point of Unicode's DerivedCoreProperties.txt (15.1), less those that have a name of their own
# below, and the category Cf; tests/unit/test_normalize.py holds the tables against unicodedata.
_ZERO_WIDTH: Final = _class(
    "00AD 034F 115F-1160 17B4-17B5 180B-180F 200B-200D 2060-2065 206A-206F 3164 FEFF FFA0 FFF0-FFFB 1BCA0-1BCA3",
    "1D173-1D17A E0080-E00FF E01F0-E0FFF",
)
_BIDI: Final = _class("061C 200E-200F 202A-202E 2066-2069")
_VARIATION: Final = _class("FE00-FE0F E0100-E01EF")
_TAG: Final = _class("E0000-E007F")
# Format characters that stand before or round digits, and that show (Prepended_Concatenation_Mark of PropList.txt).
_PREPENDED: Final = _class("0600-0605 06DD 070F 0890-0891 08E2 110BD 110CD")
_HIEROGLYPH_FORMAT: Final = _class("13430-1343F")
# The last two of every plane, 32 more, and all of the planes 4 to 13, which hold nothing else.
_NONCHARACTER: Final = _class(
    "FDD0-FDEF FFFE-FFFF 1FFFE-1FFFF 2FFFE-2FFFF 3FFFE-DFFFF EFFFE-EFFFF FFFFE-FFFFF 10FFFE-10FFFF"
)
# A Braille blank shows nothing either.
_CONTROL: Final = _class("0000-0008 000B-000C 000E-001F 007F-009F 2800")
_SURROGATE: Final = _class("D800-DFFF")

# Zero-width joiners are spelling in Arabic-like and Indic scripts and glue inside emoji. A variation selector chooses
# between two looks of a symbol or an ideograph. The flags of England, Scotland and Wales are spelt in tag characters.
_JOINING: Final = _class("0600-109F 1780-18AF 2190-2BFF FE0F 1F000-1FAFF")
_SELECTABLE: Final = "#*0-9" + _class("00A9 00AE 2000-2BFF 3000-9FFF 1F000-1FAFF 20000-3FFFD")
_HIEROGLYPH: Final = _class("13000-1345F")
_FLAGS: Final = "|".join(
    "".join(chr(0xE0000 + ord(letter)) for letter in nation) for nation in ("gbeng", "gbsct", "gbwls")
)
INVISIBLE: Final = re.compile(
    rf"(?P<smuggled>[{_VARIATION}]{{6,}})"
    rf"|(?P<kept>\U0001f3f4(?:{_FLAGS})\U000e007f"
    rf"|(?<=[{_JOINING}])[\u200c\u200d]"
    rf"|(?<=[{_SELECTABLE}])[{_VARIATION}]"
    rf"|(?<![A-Za-z])[{_PREPENDED}](?![A-Za-z])"
    rf"|(?<=[{_HIEROGLYPH}])[{_HIEROGLYPH_FORMAT}])"
    rf"|(?P<tag>[{_TAG}]+)"
    rf"|(?P<surrogate>[{_SURROGATE}]+)"
    rf"|(?P<control>[{_CONTROL}]+)"
    rf"|(?P<bidi>[{_BIDI}]+)"
    rf"|(?P<variation>[{_VARIATION}]+)"
    rf"|(?P<zero_width>[{_ZERO_WIDTH}{_PREPENDED}{_HIEROGLYPH_FORMAT}{_NONCHARACTER}]+)"
)
# Searching for one class of characters is ten times as fast as for the pattern above; most texts hold none of these.
# The ranges of the higher planes are merged where that takes in nothing else.
SUSPECT: Final = re.compile(
    "["
    + _class(
        "0000-0008 000B-000C 000E-001F 007F-009F 00AD 034F 0600-0605 061C 06DD 070F 0890-0891 08E2 115F-1160 17B4-17B5",
        "180B-180F 200B-200F 202A-202E 2060-206F 2800 3164 D800-DFFF FDD0-FDEF FE00-FE0F FEFF FFA0 FFF0-FFFB FFFE-FFFF",
        "110BD 110CD 13430-1343F 1BCA0-1BCA3 1D173-1D17A 1FFFE-1FFFF 2FFFE-2FFFF 3FFFE-E0FFF EFFFE-EFFFF",
        "FFFFE-FFFFF 10FFFE-10FFFF",
    )
    + "]"
)
