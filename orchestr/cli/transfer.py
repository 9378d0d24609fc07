"""What `orch image pull` and `push` need of the user's side: logins, and bars that show how far layers have come."""

from collections.abc import Mapping
from time import monotonic
from typing import Any, TextIO

from orchestr.images.transfer import Transfer

OFTEN = 0.1  # seconds between two pictures
WIDTH = 30  # of a bar, characters


def logins(name: str) -> list[dict[str, Any]]:
    """The caller's own login for the registry of `name`, as a document of this one; by a helper where one keeps it.

    The daemon has its own user's config.json; what it knows of another user's is only what that one sends.
    """
    from base64 import b64encode

    from orchestr.images.reference import parse, place
    from orchestr.images.registry import credentials, settings

    config = credentials.read(credentials.file())
    if not config:
        return []
    there = place(parse(name), settings.read(settings.file()).default)
    found = credentials.find(config, there.host, there.repository)
    if found is None:
        return []
    word = b64encode(f"{found.user}:{found.password}".encode()).decode()
    entry = {"identitytoken": found.identity} if found.identity else {"auth": word}
    return [{"auths": {there.host: entry}}]


class Bars:
    """One line a layer where a terminal looks; elsewhere nothing but the end is said."""

    def __init__(self, out: TextIO, *, quiet: bool) -> None:
        self._out, self._shown = out, not quiet and out.isatty()
        self._transfer = Transfer()
        self._lines, self._drawn = 0, 0.0

    def told(self, line: Mapping[str, Any]) -> None:
        self._transfer.told(line)
        if self._shown and monotonic() - self._drawn > OFTEN:
            self._draw()

    def end(self) -> None:
        if self._shown and self._transfer.sizes:
            self._draw()

    def _draw(self) -> None:
        self._drawn = monotonic()
        up = f"\x1b[{self._lines}A" if self._lines else ""
        rows = [self._row(digest, size) for digest, size in self._transfer.sizes.items()]
        self._out.write(up + "".join(f"\x1b[2K{row}\n" for row in rows))
        self._out.flush()
        self._lines = len(rows)

    def _row(self, digest: str, size: int) -> str:
        done = self._transfer.done(digest)
        full = WIDTH if not size else WIDTH * done // size
        return f"{digest[7:19]} [{'=' * full}{' ' * (WIDTH - full)}] {done / 1e6:.1f}/{size / 1e6:.1f} MB"
