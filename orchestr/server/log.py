"""One line an event: a constant text plus pairs, to stderr by way of the daemon's handler."""

import logging

log = logging.getLogger("orchestr.server")


def pairs(text: str, **values: object) -> str:
    """`pairs("request failed", code=500)` is "request failed code=500"; values with blanks are quoted."""
    return " ".join([text, *(f"{key}={_quoted(str(value))}" for key, value in values.items())])


def _quoted(text: str) -> str:
    return text if text.isprintable() and text and not set(text) & set(' "=') else repr(text)
