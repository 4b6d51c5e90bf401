"""Headers of the files that go down: canonical CBOR maps from small numbers to values.

One content has one encoding (RFC 8949, 4.2), so that a file's id names its content; that also
refuses tags, duplicate keys and padding.
"""

from __future__ import annotations

import io
from typing import Any

import cbor2

from onboard.errors import ProductError


def decode_header(data: bytes, what: str) -> dict[int, Any]:
    """The map in ``data``; ``what``, such as ``"a product"``, names the file's kind in errors.

    Raises:
        ProductError: it is no CBOR, no map, or encoded in another way than the canonical one.
    """
    stream = io.BytesIO(data)
    try:
        header = cbor2.load(stream)
        same = isinstance(header, dict) and cbor2.dumps(header, canonical=True) == data
    except (ValueError, TypeError, EOFError, ArithmeticError, RecursionError) as error:
        raise ProductError(f"{what}'s header is no CBOR ({type(error).__name__})") from error
    except cbor2.CBORError as error:
        raise ProductError(f"{what}'s header is no CBOR ({type(error).__name__})") from error
    if not same:
        raise ProductError(f"{what}'s header is not a canonical CBOR map")
    return header  # type: ignore[no-any-return]  # cbor2 gives Any
