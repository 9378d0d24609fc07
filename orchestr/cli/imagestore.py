"""`orch image prune`, `df`, `diff`, `mount` and `unmount`: what is on the disk, what can go, and what is in it."""

import argparse
import time
from typing import Any

from orchestr.cli import OK
from orchestr.cli.context import namespace
from orchestr.cli.errors import Bad
from orchestr.cli.options import duration
from orchestr.cli.output import age, dump, seconds, table
from orchestr.client.paths import IMAGES
from orchestr.client.sync import Client


def prune(client: Client, args: argparse.Namespace) -> int:
    wanted = {"all": args.all, "until": _until(args.filter), "dryRun": args.dry_run}
    found = client.create(f"{IMAGES}/prune", wanted)
    if args.output:
        print(dump(found, args.output))
        return OK
    would = "would remove" if args.dry_run else "removed"
    for image in found["images"]:
        print(f"{would} {', '.join(image['names']) or '<none>'} {image['digest']}")
    if found["leftovers"]:
        print(f"{would} {found['leftovers']} leftovers")
    print(f"{'would free' if args.dry_run else 'freed'} {size(found['size'])}")
    return OK


def _until(filters: list[str]) -> float | None:
    """Seconds since 1970, of the earliest."""
    found: list[float] = []
    for text in filters:
        key, _, value = text.partition("=")
        if key != "until" or not value:
            raise Bad(f"orch image prune: filter {text!r} is not supported (give until=24h or until=TIME)")
        found.append(_moment(value))
    return min(found, default=None)


def _moment(text: str) -> float:
    if text.isdecimal():
        return float(text)
    try:
        if "T" in text:
            return seconds(text) if text.endswith("Z") else _local(text)
        return time.time() - duration(text)
    except (ValueError, argparse.ArgumentTypeError):
        raise Bad(
            f"orch image prune: {text!r} is no time (give 24h, 1h30m, 2026-01-31T12:00:00Z or seconds since 1970)"
        ) from None


def _local(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()


def diff(client: Client, args: argparse.Namespace) -> int:
    if len(args.names) not in ((0, 1) if args.container else (2,)):
        raise Bad("orch image diff: give two NAMEs, or --container and at most one")
    query: dict[str, Any] = {"name": args.names}
    if args.container:
        pod, _, container = args.container.partition("/")
        query |= {"namespace": namespace(args), "pod": pod, "container": container or None}
    found = client.get(f"{IMAGES}/diff", query)
    if args.output:
        print(dump(found, args.output))
    else:
        for each in found["items"]:
            print(each["kind"], each["path"])
    return OK


def mount(client: Client, args: argparse.Namespace) -> int:
    for name in args.names:
        print(client.create(f"{IMAGES}/mount", {"name": name})["path"])
    if not args.names:
        rows = [[", ".join(each["names"]) or each["digest"], each["path"]] for each in client.items(f"{IMAGES}/mounts")]
        print(table(["NAME", "DIRECTORY"], rows))
    return OK


def unmount(client: Client, args: argparse.Namespace) -> int:
    if bool(args.names) == args.all:
        raise Bad("orch image unmount: give NAMEs or --all")
    client.create(f"{IMAGES}/unmount", {"all": True} if args.all else {"names": args.names})
    return OK


def df(client: Client, args: argparse.Namespace) -> int:
    found = client.get(f"{IMAGES}/df")
    if args.output:
        print(dump(found, args.output))
        return OK
    images, leftovers, disk = found["images"], found["leftovers"], found["disk"]
    used = sum(bool(image["used"]) for image in images)
    rows = [
        ["images", str(len(images)), str(used), size(found["size"]), size(found["reclaimable"])],
        ["leftovers", str(leftovers["count"]), "0", size(leftovers["size"]), size(leftovers["size"])],
    ]
    print(table(["TYPE", "TOTAL", "IN USE", "SIZE", "RECLAIMABLE"], rows))
    if args.verbose:
        print()
        print(table(["NAME", "DIGEST", "CREATED", "SIZE", "SHARED", "UNIQUE", "IN USE"], list(map(_row, images))))
    percent = round(100 * (1 - disk["available"] / disk["size"])) if disk["size"] else 0
    print(f"\ndisk {percent}% full ({size(disk['available'])} left); above {disk['high']}% images that nobody uses go")
    return OK


def _row(image: dict[str, Any]) -> list[str]:
    own, whole = image["unique"], image["size"]
    name = ", ".join(image["names"]) or "<none>"
    used = "yes" if image["used"] else "no"
    return [name, image["digest"][7:19], age(image["created"] or None), size(whole), size(whole - own), size(own), used]


def size(count: int) -> str:
    unit = next((unit for unit in ("GB", "MB", "kB") if count >= UNITS[unit]), "B")
    return f"{count}B" if unit == "B" else f"{count / UNITS[unit]:.1f}{unit}"


UNITS = {"GB": 1e9, "MB": 1e6, "kB": 1e3}
