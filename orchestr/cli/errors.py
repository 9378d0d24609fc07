"""From what was raised to one message and an exit code. Nothing a user does shows a traceback."""

import os
import sys
from collections.abc import Callable

from orchestr.cli import BAD_INPUT, FAILED, NO_DAEMON


class Bad(Exception):
    """The command line or a file is wrong: exit 2. The text is the whole message."""


class Failed(Exception):
    """It did not work: exit `code`."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code


def guarded(call: Callable[[list[str]], int], words: list[str]) -> int:
    """Runs a command; words every error; the exit code."""
    try:
        return call(words)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130
    except BrokenPipeError:  # `orch logs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except SystemExit as error:  # argparse
        return error.code if isinstance(error.code, int) else BAD_INPUT
    except Exception as error:
        if os.environ.get("ORCH_DEBUG"):
            raise
        text, code = _worded(error)
        print(text, file=sys.stderr)
        return code


def _worded(error: Exception) -> tuple[str, int]:
    from orchestr.api.errors import ApiError

    name = type(error).__name__
    if isinstance(error, Bad):
        return str(error), BAD_INPUT
    if isinstance(error, Failed):
        return str(error), error.code
    if name == "NoDaemon":
        return f"orch: {error}", NO_DAEMON
    if name in ("ManifestError", "InstanceError"):
        return str(error), BAD_INPUT
    if isinstance(error, ApiError):
        causes = [f"  {cause.field}: {cause.message}" for cause in error.causes]
        return "\n".join([f"orch: {error.message}", *causes]), FAILED
    if isinstance(error, OSError):
        return f"orch: cannot use {error.filename}: {error.strerror}" if error.filename else f"orch: {error}", FAILED
    return f"orch: {name}: {error} (this is a bug; ORCH_DEBUG=1 shows where)", FAILED
