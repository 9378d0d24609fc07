"""What steps gave, by what they were given: <root>/build/cache/<key>, a JSON document each, written whole.

A key is the digest of everything that a step's result comes from: the layers below it, its words with variables filled
in, the content of what it copies. Times are in no key, so neither a checkout nor a copy of the context changes one.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from typing import Any, NamedTuple


class Made(NamedTuple):
    """A step's layer; `digest` "" when it changed nothing."""

    digest: str  # of the archive as it is, which is its diff_id, too
    size: int
    created: str


def key(parts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode("utf-8", "surrogateescape")).hexdigest()


class Cache:
    def __init__(self, root: str) -> None:
        self._folder = os.path.join(root, "build", "cache")
        os.makedirs(self._folder, mode=0o700, exist_ok=True)

    def get(self, name: str) -> Made | None:
        try:
            with open(os.path.join(self._folder, name), encoding="utf-8") as file:
                found = json.load(file)
            return Made(str(found["digest"]), int(found["size"]), str(found["created"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, name: str, made: Made) -> None:
        with tempfile.NamedTemporaryFile("w", dir=self._folder, prefix=".new-", delete=False) as file:
            json.dump(made._asdict(), file)
        os.rename(file.name, os.path.join(self._folder, name))
