"""`orch debug [-it] TARGET [-- COMMAND]`: a container with tools beside those of a running pod."""

import argparse
import sys
from collections.abc import Mapping
from secrets import token_hex
from typing import Any

from orchestr.cli import FAILED, OK, context, targets
from orchestr.cli.errors import Bad, Failed
from orchestr.cli.exec import pump, raw
from orchestr.cli.options import add_namespace
from orchestr.client.paths import path
from orchestr.client.sync import Client

EXAMPLES = """examples:
  orch debug -it web                              a shell of local/host in the pod's network
  orch debug -it web --target web -- ps aux       among the processes of its container
  orch debug web --image tools -- tcpdump -i any  left running; orch logs -c NAME shows it"""
Object = Mapping[str, Any]


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-i", "--stdin", action="store_true", help="pass our input on")
    parser.add_argument("-t", "--tty", action="store_true", help="with a terminal")
    parser.add_argument("--image", metavar="IMAGE", default="local/host", help="with the tools (default: local/host)")
    parser.add_argument("--target", dest="beside", metavar="NAME", help="see the processes of this container")
    parser.add_argument("-c", "--container", metavar="NAME", help="what it is called (default: debug-...)")
    parser.add_argument("target", metavar="TARGET", help="a service, a pod or kind/name")
    parser.add_argument("command", nargs="*", metavar="COMMAND", help="after --; by default a shell")
    add_namespace(parser, all_=False)


def run(args: argparse.Namespace) -> int:
    if args.tty and not sys.stdin.isatty():
        raise Bad("orch debug: -t needs a terminal as input (leave -t out)")
    client, namespace = context.client(args), context.namespace(args)
    pod = targets.running(targets.pods(client, namespace, [args.target]))
    if pod is None:
        raise Failed(f"orch debug: no pod of {args.target} is running (orch status says why)")
    where = path("pods", namespace, pod["metadata"]["name"])
    wanted = container(args)
    more = {"ephemeralContainers": [*(pod["spec"].get("ephemeralContainers") or []), wanted]}
    client.patch(f"{where}/ephemeralcontainers", {"metadata": _version(pod), "spec": more})
    name = pod["metadata"]["name"]
    state = _until(client, namespace, name, wanted["name"], "running", "terminated")
    if "running" in state and not wanted["stdin"]:
        print(f"{wanted['name']} runs in pod {name}")
        return OK
    if "running" in state:
        if not _attach(client, namespace, name, wanted):
            return FAILED
        state = _until(client, namespace, name, wanted["name"], "terminated")
    ended = state.get("terminated") or {}
    if ended.get("message"):
        print(f"orch debug: {ended['message']}", file=sys.stderr)
    return int(ended.get("exitCode", OK))


def container(args: argparse.Namespace) -> dict[str, Any]:
    """What is added to the pod."""
    found: dict[str, Any] = {
        "name": args.container or f"debug-{token_hex(3)}",
        "image": args.image,
        "command": args.command or ["sh"],
        "stdin": args.stdin or args.tty,
        "stdinOnce": args.stdin or args.tty,
        "tty": args.tty,
    }
    return found | ({"targetContainerName": args.beside} if args.beside else {})


def _version(pod: Object) -> dict[str, str]:
    """Others may add theirs at the same time: then this is refused, and none is lost."""
    return {"resourceVersion": pod["metadata"]["resourceVersion"]}


def _state(pod: Object, name: str) -> Mapping[str, Any]:
    statuses = (pod.get("status") or {}).get("ephemeralContainerStatuses") or []
    found: Mapping[str, Any] = next((each.get("state") or {} for each in statuses if each["name"] == name), {})
    return found


def _until(client: Client, namespace: str, pod: str, name: str, *states: str) -> Mapping[str, Any]:
    """Its state once it is one of these. Failed when the pod goes first."""
    for event in client.watch(path("pods", namespace), query={"fieldSelector": f"metadata.name={pod}"}):
        state = _state(event["object"], name)
        if event["type"] == "DELETED":
            break
        if any(each in state for each in states):
            return state
    raise Failed(f"orch debug: pod {pod} has gone")


def _attach(client: Client, namespace: str, pod: str, wanted: Mapping[str, Any]) -> bool:
    """Whether all went well, to the container's end."""
    stream = client.attach(namespace, pod, container=wanted["name"], stdin=True, tty=wanted["tty"])
    try:
        if wanted["tty"]:
            raw(stream)
        else:
            pump(stream, 0)
    finally:
        stream.close()
    if stream.error:
        print(f"orch debug: {stream.error}", file=sys.stderr)
    return not stream.error
