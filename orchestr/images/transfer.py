"""How far an image has come on its way, from the lines that a pull or push tells."""

from collections.abc import Mapping
from typing import Any


class Transfer:
    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}  # layer -> bytes, in the image's order
        self._done: dict[str, int] = {}

    @property
    def total(self) -> int:
        return sum(self.sizes.values())

    def done(self, layer: str) -> int:
        return min(self._done.get(layer, 0), self.sizes.get(layer, 0))

    def told(self, line: Mapping[str, Any]) -> None:
        if "layers" in line:
            self.sizes = dict(line["layers"])
        elif "layer" in line:
            name = line["layer"]
            self._done[name] = self.sizes.get(name, 0) if line.get("here") else line["done"]

    def __str__(self) -> str:
        done = sum(map(self.done, self.sizes))
        return f"{done / 1e6:.1f} of {self.total / 1e6:.1f} MB"
