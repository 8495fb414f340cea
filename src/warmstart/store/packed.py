"""Ids as bytes: every database keeps and orders bytes alike, whatever the script.

The first byte tells the type, so that 12 and "12" stay apart.
"""

from __future__ import annotations

import operator

from warmstart.core.errors import DataError
from warmstart.data.ids import MAX_LENGTH, Id

_TEXT, _INTEGER = b"s", b"i"
_MOST_BITS = 850  # 256 digits


def packed(external: Id, what: str = "id", *, most: int = MAX_LENGTH) -> bytes:
    """Return an id as bytes; no other id has them.

    Args:
        external: text, or an integer of at most 256 digits.
        what: is called so in the message.
        most: characters of a text.

    Raises:
        DataError: it is neither, or too long.

    Example:
        >>> packed("异形") == packed(12), packed(12) == packed("12"), unpacked(packed(12))
        (False, False, 12)
    """
    if isinstance(external, str):
        if len(external) > most:
            raise DataError(
                f"the {what} {external[:20]!r}… has {len(external):,} characters, {most} are "
                "allowed; shorten or hash it"
            )
        return _TEXT + external.encode("utf-8", "surrogatepass")
    try:
        number = None if isinstance(external, bool) else operator.index(external)
    except TypeError:
        number = None
    if number is None:
        raise DataError(
            f"the {what} {str(external)[:50]!r} is {type(external).__name__}; give text or an "
            "integer"
        )
    if number.bit_length() > _MOST_BITS:
        raise DataError(f"the {what} has more than {MAX_LENGTH} digits; give it as a hash")
    return _INTEGER + b"%d" % number


def unpacked(raw: bytes) -> Id:
    """Return the id that `packed` made into these bytes."""
    if raw[:1] == _INTEGER:
        return int(raw[1:])
    return raw[1:].decode("utf-8", "surrogatepass")
