"""Which Compose files a directory's project has when none is named, as Compose finds them."""

import os
from collections.abc import Mapping, Sequence

FITTING = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-")  # of the name of a project
BASES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")


def discover(directory: str, env: Mapping[str, str], env_files: Sequence[str] = ()) -> list[str]:
    """COMPOSE_FILE, else the first base file in the directory or above it, with its override. Empty: none is there.

    `.env` in the directory, or `env_files` instead, may set COMPOSE_FILE and COMPOSE_PATH_SEPARATOR too; one that
    cannot be read is told later, when the project is.
    """
    known = {**_from_files(directory, env, env_files), **env}
    if stated := known.get("COMPOSE_FILE"):
        paths = stated.split(known.get("COMPOSE_PATH_SEPARATOR") or os.pathsep)
        return [path for path in paths if path]
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


def fitting(text: str) -> str:
    """What Compose leaves of a text as the name of a project."""
    return "".join(c for c in text.lower() if c in FITTING).lstrip("_-")


def _from_files(directory: str, env: Mapping[str, str], env_files: Sequence[str]) -> dict[str, str]:
    if "COMPOSE_FILE" in env:
        return {}
    files = env_files or [path for path in env.get("COMPOSE_ENV_FILES", "").split(",") if path]
    found: dict[str, str] = {}
    for path in files or [os.path.join(directory, ".env")]:
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read()
        except (OSError, UnicodeDecodeError):
            continue
        if "COMPOSE_FILE" in text:
            from orchestr.manifest.compose import dotenv

            try:
                found |= dotenv.parse(text, env)
            except dotenv.EnvFileError:
                continue
    return found


def _override(path: str) -> list[str]:
    stem = os.path.splitext(path)[0]
    return [found for end in ("yaml", "yml") if os.path.isfile(found := f"{stem}.override.{end}")][:1]
