"""What the daemon writes to stderr: one line an event, with time and level. Tracebacks only at level DEBUG."""

import logging
import sys
import time
import traceback


class OneLine(logging.Formatter):
    """`2026-01-31T12:00:00.123Z WARNING orchestr.engine.loop text error=ValueError cause='...' at=file.py:7`"""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        text = " ".join(record.getMessage().splitlines())
        line = f"{moment}.{record.msecs:03.0f}Z {record.levelname} {record.name} {text}"
        if record.exc_info and record.exc_info[1] is not None:
            line += f" {told(record.exc_info[1])}"
            if logging.getLogger().isEnabledFor(logging.DEBUG):
                line += "\n" + "".join(traceback.format_exception(record.exc_info[1])).rstrip()
        return line


def told(error: BaseException) -> str:
    """An exception in pairs; of a group, its first cause."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at={frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"error={type(error).__name__} cause={str(error)[:500]!r}{place}"


def set_up(*, debug: bool = False) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine())
    logging.basicConfig(level=logging.DEBUG if debug else logging.INFO, handlers=[handler], force=True)
