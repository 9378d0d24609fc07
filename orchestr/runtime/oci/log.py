"""Messages: to stderr, and to the file of --log, as text or JSON in logrus's form, which engines parse."""

import os
import sys
import time
from contextlib import suppress

from orchestr.runtime import lean
from orchestr.runtime.oci.options import Given
from orchestr.runtime.seam import RuntimeFailure

_path = ""
_json = False
_debug = False


def use(common: Given) -> None:
    """Takes --log, --log-format, --log-level and --debug. RuntimeFailure when they cannot be used."""
    global _path, _json, _debug
    path, form = common.get("log", [""])[-1], common.get("log-format", ["text"])[-1]
    level = common.get("log-level", ["error"])[-1]
    if form not in ("text", "json"):
        raise RuntimeFailure(f"cannot use --log-format {form}: invalid log-format (text or json)")
    if level not in ("error", "warning", "debug"):
        raise RuntimeFailure(f"cannot use --log-level {level}: no such level (error, warning or debug)")
    if path.startswith(("journald:", "syslog:")):
        raise RuntimeFailure(f"cannot log to {path}: not supported (give a file)")
    path = path.removeprefix("file:")
    if path and not os.path.isdir(os.path.dirname(path) or "."):
        raise RuntimeFailure(f"cannot log to {path}: no such file or directory (make its directory first)")
    _path, _json, _debug = path, form == "json", "debug" in common or level == "debug"


def error(text: str) -> None:
    """stderr has it as it is, but where the caller asked for JSON and named no file."""
    sys.stderr.write(f"{_line('error', text) if _json and not _path else text}\n")
    if _path:
        _append(_line("error", text))


def warning(text: str) -> None:
    _say("warning", text)


def debug(text: str) -> None:
    if _debug:
        _say("debug", text)


def _say(level: str, text: str) -> None:
    line = _line(level, text)
    if _path:
        _append(line)
    else:
        sys.stderr.write(f"{line}\n")


def _line(level: str, text: str) -> str:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    if _json:
        return lean.dumps({"level": level, "msg": text, "time": now})
    return f'time="{now}" level={level} msg={lean.dumps(text)}'


def _append(line: str) -> None:
    """One write: several commands may log to the same file."""
    with suppress(OSError):
        fd = os.open(_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.write(fd, f"{line}\n".encode(errors="replace"))
        finally:
            os.close(fd)
