"""`volumes` of a service in their short form, `[SOURCE:]TARGET[:OPTIONS]` (compose-spec, "volumes")."""

import os
import re

from orchestr.manifest.compose.tree import Findings, Node, Path

PROPAGATION = {"private", "rprivate", "slave", "rslave", "shared", "rshared"}
SELINUX = {"z", "Z"}
IGNORED = {"rw", "cached", "delegated", "consistent"}
WINDOWS = re.compile(r"[A-Za-z]:[\\/].*:")
HOW = "write SOURCE:TARGET or SOURCE:TARGET:ro"


def long_volume(node: Node, path: Path, findings: Findings) -> Node:
    if isinstance(node.data, dict):
        if (target := node.get("target")) is not None and target.data:
            target.data = os.path.normpath(str(target.data))
        return node
    text = str(node.data)
    if findings.open(text):
        return node
    parts = text.split(":")
    if WINDOWS.match(text):
        findings.refuse(
            node.at,
            path,
            f"volume {text!r}",
            "it is a path of Windows; write one of this machine",
        )
        return node.map({"type": "volume", "target": "/"})
    if len(parts) > 3 or not all(parts):
        findings.error(node.at, path, f"cannot read volume {text!r}", HOW)
        return node.map({"type": "volume", "target": "/"})
    if len(parts) == 1:
        return _long(node, path, findings, "", parts[0], "")
    return _long(node, path, findings, parts[0], parts[1], parts[2] if len(parts) > 2 else "")


def _long(node: Node, path: Path, findings: Findings, source: str, target: str, options: str) -> Node:
    bind = source[:1] in (".", "/", "~") and bool(source)
    found = node.map(
        {
            "type": "bind" if bind else "volume",
            **({"source": source} if source else {}),
            "target": os.path.normpath(target),
        }
    )
    kind = found.data["bind" if bind else "volume"] = node.map({"create_host_path": True} if bind else {})
    for option in filter(None, options.split(",")):
        if option == "ro":
            found.data["read_only"] = node.like(True)
        elif option in PROPAGATION:
            found.data.setdefault("bind", node.map({})).data["propagation"] = node.like(option)
        elif option in SELINUX:
            found.data.setdefault("bind", node.map({})).data["selinux"] = node.like(option)
        elif option == "nocopy":
            kind.data["nocopy"] = node.like(True)
        elif option not in IGNORED:
            findings.refuse(node.at, path, f"volume option {option}", "options are ro, rw, z, Z, nocopy")
    return found
