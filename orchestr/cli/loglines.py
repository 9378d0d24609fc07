"""Lines of containers as they are printed: the name of each source in front, in its own colour."""

import sys
from collections.abc import Iterator, Mapping

from orchestr.cli.output import paint
from orchestr.client.sync import Client

PALETTE = ("cyan", "yellow", "green", "magenta", "blue", "red")
Source = tuple[str, str]  # pod, container


class Printer:
    """Writes lines, with the time of each if `stamps`, and with the name of its source in colour if `prefixes`."""

    def __init__(self, *, color: bool, stamps: bool, prefixes: bool) -> None:
        self._on, self._stamps, self._prefixes = color, stamps, prefixes
        self._names: dict[Source, bytes] = {}
        self._width = 0

    def name(self, source: Source) -> bytes:
        known = self._names.get(source)
        if known is None:
            pod, container = source
            text = pod if container in pod or len(pod) > 40 else f"{pod}/{container}"
            self._width = max(self._width, len(text))
            color = PALETTE[len(self._names) % len(PALETTE)]
            known = self._names[source] = paint(f"{text:<{self._width}} | ", color, self._on).encode()
        return known

    def line(self, source: Source, line: bytes) -> None:
        stamp, _, text = line.partition(b" ")
        out = sys.stdout.buffer
        out.write(
            (self.name(source) if self._prefixes else b"") + (stamp + b" " if self._stamps else b"") + text + b"\n"
        )

    def flush(self) -> None:
        sys.stdout.buffer.flush()


def read(client: Client, namespace: str, source: Source, options: Mapping[str, object]) -> Iterator[bytes]:
    """The lines of one container, each with its time in front."""
    response = client.logs(namespace, source[0], container=source[1], **options)
    try:
        yield from response.lines()
    finally:
        response.close()
