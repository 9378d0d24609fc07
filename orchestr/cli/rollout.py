"""`orch rollout status|history|undo|restart|pause|resume NAME`: templates of deployments, statefulsets and daemonsets.

What a Deployment was is in its ReplicaSets, what the others were in their ControllerRevisions.
"""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from orchestr.cli import OK, context
from orchestr.cli.errors import Bad, Failed
from orchestr.cli.follow import follow
from orchestr.cli.options import add_namespace, add_output, duration
from orchestr.cli.output import age, dump, table
from orchestr.cli.recreate import roll, tell
from orchestr.cli.restart import levels
from orchestr.cli.why import owned
from orchestr.cli.workloads import Found, find_all, target
from orchestr.client.paths import path
from orchestr.client.sync import Client

EXAMPLES = """examples:
  orch rollout status web               wait until the newest version runs
  orch rollout history statefulset/db   what it has been
  orch rollout undo web                 the version before this one
  orch rollout undo web --to-revision 3"""

Object = Mapping[str, Any]
REVISION, CAUSE = "deployment.kubernetes.io/revision", "kubernetes.io/change-cause"
HASH, PATCH = "pod-template-hash", "$patch"


class Version(NamedTuple):
    """A template that a workload has or had."""

    number: int
    template: Object
    cause: str
    made: str

    @property
    def images(self) -> str:
        return ",".join(str(each.get("image", "")) for each in self.template["spec"]["containers"])


KINDS = ("deployments", "statefulsets", "daemonsets")


def add(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, help_ in (
        ("status", "wait until the newest version runs, and say so"),
        ("history", "the versions that are kept"),
        ("undo", "go back to the version before, or to another"),
        ("restart", "new pods, rolled as the strategy says"),
        ("pause", "of a deployment: no new versions for now"),
        ("resume", "of a deployment: go on"),
    ):
        verb = verbs.add_parser(name, help=help_)
        verb.add_argument("names", nargs="+", metavar="NAME", help="services, or KIND/NAME")
        verb.add_argument("-f", "--file", dest="files", action="append", metavar="FILE", help="the project's file")
        add_namespace(verb, all_=False)
        if name == "history":
            verb.add_argument("--revision", type=int, metavar="N", help="the template of this version")
            add_output(verb, "json", "yaml")
        if name == "undo":
            verb.add_argument("--to-revision", type=int, default=0, metavar="N", help="this version")
        if name in ("undo", "restart"):
            verb.add_argument("-d", "--detach", action="store_true", help="do not wait")
        if name in ("status", "undo", "restart"):
            verb.add_argument(
                "--timeout", type=duration, metavar="DURATION", default=300.0, help="how long to wait (default 5m)"
            )


def run(args: argparse.Namespace) -> int:
    client = context.client(args)
    found = find_all(client, args, args.names, KINDS)
    calls = {"status": status, "history": history, "undo": undo, "restart": again, "pause": pause, "resume": pause}
    return calls[args.verb](client, args, found)


def status(client: Client, args: argparse.Namespace, found: Sequence[Found]) -> int:
    code = follow(client, [obj for _, obj in found], timeout=args.timeout, color=args.color)
    for _, obj in found if code == OK else ():
        print(f"{_name(obj)} rolled out")
    return code


def history(client: Client, args: argparse.Namespace, found: Sequence[Found]) -> int:
    for number, (_, obj) in enumerate(found):
        versions = kept(client, obj)
        if args.revision is not None:
            print(dump(one(obj, versions, args.revision).template, args.output or "yaml"))
        elif args.output:
            print(dump([{"revision": v.number, "changeCause": v.cause, "template": v.template} for v in versions],
                       args.output))  # fmt: skip
        else:
            print(("\n" if number else "") + _name(obj))
            rows = [[str(v.number), age(v.made), v.images, v.cause or "<none>"] for v in versions]
            print(table(["REVISION", "AGE", "IMAGES", "CHANGE-CAUSE"], rows))
    return OK


def undo(client: Client, args: argparse.Namespace, found: Sequence[Found]) -> int:
    done = []
    for each in found:
        kind, obj = each
        _own(obj)
        versions = kept(client, obj)
        version = one(obj, versions, args.to_revision) if args.to_revision else before(obj, versions)
        if version.template == obj["spec"]["template"]:
            print(f"{_name(obj)} is at revision {version.number} already")
            continue
        if obj["spec"].get("paused"):
            raise Failed(
                f"orch: cannot undo {_name(obj)}: it is paused (orch rollout resume {obj['metadata']['name']})"
            )
        new = {"apiVersion": kind.api_version, **obj, "spec": {**obj["spec"], "template": version.template}}
        done.append({"kind": kind.kind, **client.replace(target(each), new)})
        print(f"{_name(obj)} rolled back to revision {version.number}", flush=True)
    return OK if args.detach else follow(client, done, timeout=args.timeout, color=args.color)


def again(client: Client, args: argparse.Namespace, found: Sequence[Found]) -> int:
    code = OK
    for level in levels(list(found)):
        restarted = [roll(client, each) for each in level]
        tell(restarted)
        if not args.detach:
            code = code or follow(client, restarted, timeout=args.timeout, color=args.color)
    return code


def pause(client: Client, args: argparse.Namespace, found: Sequence[Found]) -> int:
    for kind, obj in found:
        if kind.kind != "Deployment":
            raise Bad(f"orch: cannot {args.verb} {_name(obj)}: only deployments can be paused")
        _own(obj)
    for each in found:
        client.patch(target(each), {"spec": {"paused": True if args.verb == "pause" else None}})
        print(f"{_name(each[1])} {args.verb}d")
    return OK


def _own(obj: Object) -> None:
    """Failed for what a Stack decides over: it would be as the Stack says again at once."""
    owner = next((o for o in obj["metadata"].get("ownerReferences") or [] if o["kind"] == "Stack"), None)
    if owner:
        where = f"stack/{owner['name']}"
        raise Failed(f"orch: cannot change {_name(obj)}: {where} makes it (change its file, and apply that)")


def _name(obj: Object) -> str:
    return f"{obj['kind'].lower()}/{obj['metadata']['name']}"


def kept(client: Client, obj: Object) -> list[Version]:
    """The versions that are there, oldest first."""
    meta, deployment = obj["metadata"], obj["kind"] == "Deployment"
    plural = "replicasets" if deployment else "controllerrevisions"
    items = client.items(path(plural, meta["namespace"], group="apps"))
    mine = [each for each in items if (owned(each) or ("", ""))[1] == meta["uid"]]
    versions = (_of_set(each) if deployment else _of_revision(each) for each in mine)
    return sorted(versions, key=lambda version: version.number)


def _of_set(rs: Object) -> Version:
    template = rs["spec"]["template"]
    meta = template.get("metadata") or {}
    labels = {key: value for key, value in (meta.get("labels") or {}).items() if key != HASH}
    notes = rs["metadata"].get("annotations") or {}
    template = {**template, "metadata": {**meta, "labels": labels}}
    return Version(int(notes.get(REVISION, 0)), template, notes.get(CAUSE, ""), rs["metadata"]["creationTimestamp"])


def _of_revision(revision: Object) -> Version:
    template = {key: value for key, value in revision["data"]["spec"]["template"].items() if key != PATCH}
    notes, made = revision["metadata"].get("annotations") or {}, revision["metadata"]["creationTimestamp"]
    return Version(revision["revision"], template, notes.get(CAUSE, ""), made)


def one(obj: Object, versions: Sequence[Version], number: int) -> Version:
    found = next((version for version in versions if version.number == number), None)
    if found is None:
        there = ", ".join(str(version.number) for version in versions) or "none"
        raise Failed(f"orch: {_name(obj)} has no revision {number} (there are: {there})")
    return found


def before(obj: Object, versions: Sequence[Version]) -> Version:
    """The one before the newest."""
    if len(versions) < 2:
        raise Failed(f"orch: cannot undo {_name(obj)}: no version before this one is kept (see orch rollout history)")
    return versions[-2]
