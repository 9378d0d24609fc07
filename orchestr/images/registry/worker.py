"""The process that speaks with registries: `python -I -m orchestr.images.registry.worker`.

One request as JSON on standard input, lines of JSON on standard output: progress, and last {"digest", "fetched"} or
{"error", "kind"}. It ends when nobody reads what it says.
"""

import json
import os
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from orchestr.images.blobs import Blobs
from orchestr.images.confined import READ, WRITE, keep_capabilities, reach_only
from orchestr.images.layers import FULL
from orchestr.images.reference import Place
from orchestr.images.registry.credentials import Credentials
from orchestr.images.registry.pull import pull
from orchestr.images.registry.push import push
from orchestr.images.registry.session import Absent, Denied, Rights, Session, Unreachable
from orchestr.images.registry.settings import Endpoint
from orchestr.images.seam import ImageCorrupt, ImageError

PROGRAMS = ("/usr", "/lib", "/lib64")
CONFIGURATION = (
    "/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/etc/crypto-policies", "/etc/resolv.conf", "/etc/hosts",
    "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf", "/etc/services", "/etc/protocols", "/etc/localtime",
    "/etc/ld.so.cache", "/dev/null", "/dev/urandom",
)  # fmt: skip
KINDS = {Denied: "denied", Absent: "absent", Unreachable: "unreachable", ImageCorrupt: "corrupt"}


def main() -> None:
    lock = threading.Lock()

    def tell(line: Mapping[str, Any]) -> None:
        with lock:
            os.write(1, json.dumps(line).encode() + b"\n")

    try:
        request = json.load(sys.stdin)
        confine(request)
        tell(carry_out(request, tell))
    except BrokenPipeError:
        return
    except ImageError as error:
        tell({"error": str(error), "kind": KINDS.get(type(error), "refused")})
    except OSError as error:
        full = error.errno in FULL
        hint = "make room: orch image prune" if full else "see the daemon's log"
        kind = "full" if full else "refused"
        tell({"error": f"cannot store the image: {error.strerror or error} ({hint})", "kind": kind})


def confine(request: Mapping[str, Any]) -> None:
    """What a broken registry, or whoever sits between, could make of this process: it writes blobs and nothing else,
    reads programs, certificates and how names are resolved, runs nothing, and is root in name only."""
    keep_capabilities(())
    blobs = os.path.join(request["root"], "blobs")
    tempfile.tempdir = blobs  # else it would look for one where it may not
    resolver = os.path.realpath("/etc/resolv.conf")
    said = [each.ca for each in map(Endpoint._make, request["endpoints"]) if each.ca]
    said += [path for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if (path := os.environ.get(name))]
    programs = (*sys.path, sys.prefix, sys.base_prefix, *PROGRAMS)
    reach_only(
        dict.fromkeys((*programs, *CONFIGURATION, resolver, *said), READ)
        | {blobs: READ | WRITE, os.path.join(request["root"], ".lock"): READ | WRITE}
    )


def carry_out(request: Mapping[str, Any], tell: Any) -> dict[str, Any]:
    place = Place(*request["place"])
    rights: Rights = "pull" if request["verb"] == "pull" else "pull,push"
    ours = Credentials(*request["credentials"]) if request["credentials"] else None
    with ExitStack() as stack:
        sessions = []
        for each in request["endpoints"]:
            endpoint = Endpoint(*each)
            own = ours if endpoint.url in request["trusted"] else None  # mirrors get nothing that is not theirs
            sessions.append(Session(endpoint, place.repository, own, rights))
            stack.callback(sessions[-1].close)
        blobs = Blobs(request["root"])
        if request["verb"] == "push":
            return push(sessions, place, blobs, request["known"], tell, request["sources"])
        return pull(sessions, place, blobs, request["arch"], request["known"], tell)._asdict()


if __name__ == "__main__":
    main()
