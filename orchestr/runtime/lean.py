"""JSON without the module `json`, whose import costs as much as a tenth of a launch; its C half does the work.

The same values and errors. Where there is no C half the module itself is used.
"""

from typing import Any, Final

try:
    import _json

    C: Any = _json
except ImportError:
    C = None

_SPACE: Final = " \t\n\r"


class _Context:
    """What `make_scanner` looks at."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    memo: Final[dict[str, str]] = {}

    @staticmethod
    def parse_constant(name: str) -> float:
        raise ValueError(f"{name} is not JSON")


def loads(data: str | bytes) -> Any:
    """ValueError with line and column when it is not JSON."""
    if C:
        try:
            text = data if isinstance(data, str) else data.decode()
        except UnicodeDecodeError:
            text = ""  # another encoding, or none
        start = len(text) - len(text.lstrip(_SPACE))
        try:
            value, end = C.make_scanner(_Context)(text, start)
            if not text[end:].strip(_SPACE):
                return value
        except StopIteration:
            pass
    import json

    return json.loads(data)


def dumps(value: Any) -> str:
    """Compact, as engines and tests of other runtimes read it."""
    if not C:
        import json

        return json.dumps(value, separators=(",", ":"))
    encoder = C.make_encoder(None, _refuse, C.encode_basestring_ascii, None, ":", ",", False, False, False)
    return "".join(encoder(value, 0))


def _refuse(value: Any) -> Any:
    raise TypeError(f"{type(value).__name__} is not JSON")
