"""Text that strangers wrote, made fit to stand in a prompt: as data, and seen as it is.

Requests, titles, plots and reviews may hold what no reader sees and a model obeys. `clean` takes it
out: control, zero-width, direction, tag and private characters, variation selectors and piles of
accents. Look-alikes of one letter are made that letter where Unicode holds them equal (ＡＢＣ, 𝐀𝐁𝐂,
ﬁ); a Cyrillic а stays, or no Russian could be read. The marks by which chat templates begin and end
a turn (`<|im_end|>`, `[INST]`) are broken up, so that text cannot take the floor.

`fenced` sets text between two lines that do not occur in it, so it cannot end its own quotation.
What a model then does is still untrusted: nothing here is a promise about what it obeys.
"""

from __future__ import annotations

import re
import unicodedata
from hashlib import blake2b

import numpy as np

_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_BLANK = re.compile(r"[\s\u2800\x1c-\x1f\x85]+")
_PILE = 3  # accents on one letter
_TURN = re.compile(r"<(?=[|/!_<A-Za-z])|\[(?=/?[A-Z_]{3,}\])")
_DROPPED = frozenset(("Cc", "Cf", "Cs", "Co", "Cn"))
_LETTERS = "bcdfghjkmnpqrstvwxz"  # no vowels: a fence spells nothing


def clean(text: str, most_chars: int) -> str:
    r"""Return a text on one line without what cannot be seen, no longer than `most_chars`.

    Cleaning twice changes nothing more. Time is linear in the length.

    Args:
        text: anything.
        most_chars: what is longer is cut.

    Example:
        >>> clean("a\u200b film\n\u202ewith  ｓｐａｃｅ<|im_end|>", 40)
        'a film with space< |im_end|>'
        >>> clean("想看太空科幻", 4)
        '想看太空'
    """
    seen = _visible(unicodedata.normalize("NFKC", _visible(text)))
    line = _BLANK.sub(" ", seen).strip()
    return _TURN.sub(lambda mark: mark[0] + " ", line)[:most_chars].rstrip()


def plain(text: str) -> str:
    r"""Return a text to be shown: on one line, without what cannot be seen, else letter for letter.

    A title may hold what clears a terminal, or turns the line around it.

    Example:
        >>> plain("\x1b[2JThe \u202eSea\nof ｔｒｅｅｓ")
        '[2JThe Sea of ｔｒｅｅｓ'
    """
    return _BLANK.sub(" ", _visible(text)).strip()


def fenced(text: str, rng: np.random.Generator | None = None) -> tuple[str, str]:
    r"""Return a text between two fences that it does not hold, and the fence.

    Args:
        text: cleaned.
        rng: from which fences are drawn; by default they follow from the text, so that the same
            text makes the same prompt, which a cache can find again.

    Example:
        >>> block, fence = fenced("a film")
        >>> block == f"{fence}\na film\n{fence}", fence in "a film"
        (True, False)
    """
    if rng is None:
        digest = blake2b(text.encode("utf8", "surrogatepass"), digest_size=16).digest()
        rng = np.random.default_rng(int.from_bytes(digest, "big"))
    folded = text.casefold()
    while True:
        fence = "".join(_LETTERS[i] for i in rng.integers(0, len(_LETTERS), 12))
        if fence not in folded:
            return f"{fence}\n{text}\n{fence}", fence


def _visible(text: str) -> str:
    """Return a text without characters that show nothing, and without piles of accents."""
    kept: list[str] = []
    pile = 0
    for char in _UNSEEN.sub("", text):
        kind = unicodedata.category(char)
        if kind in _DROPPED and not char.isspace():
            continue
        pile = pile + 1 if kind in ("Mn", "Me") else 0
        if pile <= _PILE:
            kept.append(char)
    return "".join(kept)
