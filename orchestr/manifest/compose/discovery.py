"""Which Compose files a directory's project has when none is named, as Compose finds them."""

import os
from collections.abc import Mapping

BASES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")


def discover(directory: str, env: Mapping[str, str]) -> list[str]:
    """COMPOSE_FILE, else the first base file in the directory or above it, with its override. Empty: none is there."""
    stated = env.get("COMPOSE_FILE", "")
    if stated:
        return [os.path.join(directory, path) for path in stated.split(env.get("COMPOSE_PATH_SEPARATOR", os.pathsep))]
    here = os.path.abspath(directory)
    while True:
        for base in BASES:
            path = os.path.join(here, base)
            if os.path.isfile(path):
                return [path, *_override(path)]
        above = os.path.dirname(here)
        if above == here:
            return []
        here = above


def _override(path: str) -> list[str]:
    stem = os.path.splitext(path)[0]
    return [found for end in ("yaml", "yml") if os.path.isfile(found := f"{stem}.override.{end}")][:1]
