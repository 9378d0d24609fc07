"""`orch image build`: a Dockerfile and its context go to the daemon, its progress comes back."""

import argparse
import base64
import json
import os
import sys
import tempfile
from dataclasses import dataclass, field
from typing import Any

from orchestr.cli import OK
from orchestr.cli.errors import Bad, Failed
from orchestr.client.paths import IMAGES
from orchestr.client.sync import Client

EXAMPLES = """examples:
  orch image build -t app .
  orch image build -t app -f docker/Dockerfile --target test --build-arg VERSION=1 .
  orch image build -t app --secret id=token,src=token.txt ."""


@dataclass(frozen=True)
class Wanted:
    """One build as the command line or a Compose file says it."""

    context: str  # "": none
    dockerfile: str  # its text
    file: str  # its path, as messages call it
    fields: dict[str, Any] = field(default_factory=dict)  # of the request


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", help="the context, a directory; - takes a Dockerfile without one")
    parser.add_argument(
        "-t", "--tag", dest="tags", action="append", default=[], metavar="NAME", help="the image's name"
    )
    parser.add_argument(
        "-f", "--file", dest="dockerfile", metavar="FILE", help="the Dockerfile (default: PATH/Dockerfile)"
    )
    parser.add_argument("--build-arg", dest="args", action="append", default=[], metavar="NAME[=VALUE]",
                        help="a value for an ARG; without = that of the variable here")  # fmt: skip
    parser.add_argument("--target", default="", metavar="STAGE", help="the stage to build (default: the last)")
    parser.add_argument("--secret", dest="secrets", action="append", default=[], metavar="id=ID[,src=FILE|,env=NAME]",
                        help="for RUN --mount=type=secret; kept out of image and cache")  # fmt: skip
    parser.add_argument("--label", dest="labels", action="append", default=[], metavar="NAME=VALUE", help="a label")
    parser.add_argument("--no-cache", action="store_true", help="run every step anew")
    parser.add_argument("--pull", action="store_true", help="ask registries for newer base images")
    parser.add_argument("--platform", default="", metavar="OS/ARCH", help="only this machine's own is supported")
    parser.add_argument("--network", choices=("default", "none"), default="default", help="what RUN may reach")
    parser.add_argument("--shm-size", metavar="BYTES", help="/dev/shm of RUN (default 64m)")
    parser.add_argument("--iidfile", metavar="FILE", help="write the image's digest to this file")
    parser.add_argument("--progress", choices=("auto", "plain", "quiet", "rawjson"), default="auto",
                        help="auto and plain: steps and what they print; rawjson: as the daemon tells it")  # fmt: skip
    parser.add_argument("-q", "--quiet", action="store_true", help="print the digest only")


def run(client: Client, args: argparse.Namespace) -> int:
    wanted = read(args)
    digest = send(client, wanted, progress="quiet" if args.quiet else args.progress)
    if args.iidfile:
        with open(args.iidfile, "w", encoding="ascii") as file:
            file.write(digest)
    names = ", ".join(wanted.fields["tags"])
    print(digest if args.quiet or not names else f"built {names} {digest}")
    return OK


def read(args: argparse.Namespace) -> Wanted:
    """Bad for what can be told without the daemon."""
    if args.path == "-":
        context, text, file = "", sys.stdin.read(), "Dockerfile"
    elif "://" in args.path or args.path.startswith("git@"):
        raise Bad(f"orch image build: {args.path} is not supported as a context (give a directory)")
    else:
        context = args.path
        file = args.dockerfile or os.path.join(context, "Dockerfile")
        text = sys.stdin.read() if file == "-" else read_text(file)
    fields = {
        "tags": args.tags,
        "args": pairs(args.args, "--build-arg", environment=True),
        "labels": pairs(args.labels, "--label"),
        "target": args.target,
        "platform": args.platform,
        "noCache": args.no_cache,
        "pull": args.pull,
        "network": args.network,
        "secrets": dict(secret(each) for each in args.secrets),
        **({"shm": _bytes(args.shm_size)} if args.shm_size else {}),
    }
    return Wanted(context, text, file, fields)


def read_text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError as error:
        raise Bad(f"orch: cannot read {path}: {error.strerror} (-f names the Dockerfile)") from error


def pairs(words: list[str], flag: str, *, environment: bool = False) -> dict[str, str]:
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name or (not equals and not environment):
            raise Bad(f"orch: {flag} {word}: write NAME=VALUE")
        if equals:
            found[name] = value
        elif name in os.environ:
            found[name] = os.environ[name]
    return found


def secret(text: str) -> tuple[str, str]:
    """id=ID,src=FILE or id=ID,env=NAME: (id, content in base64)."""
    given = dict(part.partition("=")[::2] for part in text.split(","))
    name = given.get("id", "")
    path = given.get("src") or given.get("source", "")
    variable = given.get("env", "") or ("" if path else name)
    strange = set(given) - {"id", "src", "source", "env", "type"}
    if not name or strange or given.get("type", "file") not in ("file", "env"):
        raise Bad(f"orch: --secret {text}: write id=ID,src=FILE or id=ID,env=NAME")
    if path:
        try:
            with open(path, "rb") as file:
                content = file.read()
        except OSError as error:
            raise Bad(f"orch: cannot read secret {name}: {path}: {error.strerror}") from error
    elif variable in os.environ:
        content = os.environ[variable].encode("utf-8", "surrogateescape")
    else:
        raise Bad(f"orch: --secret {text}: there is no variable {variable} (write src=FILE or env=NAME)")
    return name, base64.b64encode(content).decode()


def _bytes(text: str) -> int:
    units = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
    number, unit = (text[:-1], text[-1].lower()) if text[-1:].lower() in units else (text, "")
    if not number.isdigit():
        raise Bad(f"orch: --shm-size {text}: write 64m or 1g")
    return int(number) * units.get(unit, 1)


def send(client: Client, wanted: Wanted, *, progress: str = "plain", prefix: str = "") -> str:
    """The image's digest. Bad for a Dockerfile that cannot be read, Failed for a build that failed."""
    from orchestr.images.build import context, dockerfile
    from orchestr.images.build.platforms import platform_args
    from orchestr.images.build.seam import BuildError
    from orchestr.images.build.stages import plan

    fields = wanted.fields
    if epoch := os.environ.get("SOURCE_DATE_EPOCH"):
        fields = {**fields, "args": {"SOURCE_DATE_EPOCH": epoch, **fields["args"]}}
    head = json.dumps({**fields, "dockerfile": wanted.dockerfile, "file": wanted.file}).encode() + b"\n"
    with tempfile.TemporaryFile() as body:
        try:
            text = dockerfile.parse(wanted.dockerfile, wanted.file)
            plan(text.instructions, fields["args"], platform_args(fields["platform"]), fields["target"])
            if wanted.context:
                if not os.path.isdir(wanted.context):
                    raise Bad(f"orch: {wanted.context}: no such directory (give the context of the build)")
                context.write(wanted.context, context.ignored(wanted.context, wanted.file), body)
        except BuildError as error:
            raise Bad(f"orch: {error}") from error
        body.seek(0)
        response = client.stream("POST", f"{IMAGES}/build", head=head, body=body, content_type="application/x-tar")
        told: dict[str, Any] = {}
        for line in response.lines():
            told = json.loads(line)
            _tell(told, line, progress, prefix)
    if "image" not in told:
        raise Failed(f"orch: {told.get('message') or 'cannot build: the daemon stopped telling'}")
    return str(told["image"])


def _tell(told: dict[str, Any], line: bytes, progress: str, prefix: str) -> None:
    if progress == "rawjson":
        print(line.decode(), file=sys.stderr, flush=True)
    elif "warning" in told:
        print(f"warning: {told['warning']}", file=sys.stderr, flush=True)
    elif progress == "quiet":
        return
    elif "step" in told:
        cached = " (cached)" if told.get("cached") else ""
        at = f"{prefix}[{told['stage']} {told['number']}/{told['of']}]"
        print(f"{at} {told['step'][:200]}{cached}", file=sys.stderr, flush=True)
    elif "output" in told:
        for text in told["output"].splitlines():
            print(f"{prefix}[{told['stage']} {told['number']}] | {text}", file=sys.stderr, flush=True)
