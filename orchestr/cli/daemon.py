"""`orch daemon`: the daemon in the foreground."""

import argparse
import gc
from typing import Any

from orchestr.cli.errors import Bad
from orchestr.instance import Instance, InstanceError, instance

EXAMPLES = """examples:
  orch daemon                          state in /var/lib/orch, socket /run/orch/orch.sock
  orch --instance lab daemon           a second one beside it
  orch daemon --config /etc/orch.yaml  options from a file; the command line wins"""

OPTIONS = ("state", "run", "bridge", "pod_cidr", "service_cidr")
THRESHOLDS = {"image_gc_high_threshold": 85, "image_gc_low_threshold": 80}  # percent; the kubelet's


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--state", metavar="DIR", help="what survives a reboot (default /var/lib/orch)")
    parser.add_argument("--run", metavar="DIR", help="what need not (default /run/orch)")
    parser.add_argument(
        "--listen",
        action="append",
        metavar="ADDR",
        help="unix:///PATH or https://HOST:PORT (repeat; default: RUN/orch.sock and a free port of 127.0.0.1)",
    )
    parser.add_argument("--bridge", metavar="NAME", help="the shared bridge (default orch0)")
    parser.add_argument("--pod-cidr", metavar="NET", help="IPv4 addresses of pods")
    parser.add_argument("--service-cidr", metavar="NET", help="IPv4 addresses of services")
    for name, percent in THRESHOLDS.items():
        which = "above it images that nobody uses go" if "high" in name else "until it is at this"
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            metavar="PERCENT",
            help=f"how full the disk may be: {which} (default {percent})",
        )
    parser.add_argument("--config", metavar="FILE", help="YAML with these options")


def run(args: argparse.Namespace) -> int:
    here, listen, thresholds = settings(args)
    gc.enable()
    from orchestr.daemon.run import main
    from orchestr.images.garbage import Watermarks

    return main(here, listen, watermarks=Watermarks(*thresholds))


def settings(args: argparse.Namespace) -> tuple[Instance, list[str], tuple[int, int]]:
    """The instance, the addresses to listen at, and how full the disk may be: command line over file over defaults."""
    given = _file(args.config) if args.config else {}
    names = (*OPTIONS, "listen", *THRESHOLDS)
    given |= {name: value for name in names if (value := getattr(args, name)) is not None}
    listen = given.pop("listen", None) or []
    thresholds = _thresholds(given)
    for address in listen:
        if not str(address).startswith(("unix:", "https://")):
            raise Bad(
                f"orch daemon: cannot listen at {address}: not supported (give unix:///PATH or https://HOST:PORT)"
            )
        _checked(str(address))
    try:
        here = instance(**given)
    except InstanceError as error:
        raise Bad(f"orch daemon: {error}") from error
    if not any(str(address).startswith("unix:") for address in listen):
        listen = [f"unix://{here.socket}", *listen]
    return here, list(listen), thresholds


def _thresholds(given: dict[str, Any]) -> tuple[int, int]:
    """Takes them out of what is given: (high, low)."""
    texts = [str(given.pop(name, percent)) for name, percent in THRESHOLDS.items()]
    high, low = (int(text) if text.isdecimal() else -1 for text in texts)
    if not 0 <= low < high <= 100:
        raise Bad(
            f"orch daemon: image-gc-high-threshold {texts[0]} and image-gc-low-threshold {texts[1]}: "
            "give two whole numbers from 0 to 100, the high one above the low one"
        )
    return high, low


def _checked(address: str) -> None:
    from orchestr.client.paths import address as parsed

    try:
        found = parsed(address)
    except ValueError as error:
        raise Bad(f"orch daemon: {error}") from error
    if found.tls:
        import ipaddress

        try:
            ipaddress.ip_address(found.host)
        except ValueError:
            raise Bad(f"orch daemon: cannot listen at {address}: not an IP address (give https://IP:PORT)") from None


def _file(path: str) -> dict[str, Any]:
    import yaml

    try:
        with open(path, encoding="utf-8") as file:
            found = yaml.safe_load(file) or {}
    except OSError as error:
        raise Bad(f"orch daemon: cannot read {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise Bad(f"{path}: {error}") from error
    known = {name.replace("_", "-"): name for name in (*OPTIONS, "listen", *THRESHOLDS)}
    unknown = [key for key in found if str(key) not in known] if isinstance(found, dict) else [str(found)]
    if unknown:
        raise Bad(f"{path}: unknown option {unknown[0]!r} (options: {', '.join(known)})")
    options = {known[key]: value for key, value in found.items()}
    if isinstance(options.get("listen"), str):
        options["listen"] = [options["listen"]]
    return options
