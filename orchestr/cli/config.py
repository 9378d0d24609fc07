"""`orch config`: a Compose project as it is understood, as `docker compose config` shows it, or one view of it."""

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from orchestr.cli import OK, files
from orchestr.cli.errors import Bad
from orchestr.cli.options import add_output
from orchestr.cli.output import dump

if TYPE_CHECKING:
    from orchestr.manifest.compose import Project

EXAMPLES = """examples:
  orch config                    the project here, merged, in long form, variables filled in
  orch config web                only service web and what it depends on
  orch config --services         only the names of its services
  orch config --origin           each value with the file and line that it comes from
  orch config --explain TAG      where variable TAG gets its value, and who uses it"""

VIEWS = ("services", "images", "volumes", "networks", "profiles", "environment", "variables", "origin")


def add(parser: argparse.ArgumentParser) -> None:
    files.add(parser)
    parser.add_argument("chosen", nargs="*", metavar="SERVICE", help="only these and what they depend on")
    parser.add_argument("-q", "--quiet", action="store_true", help="only check")
    view = parser.add_mutually_exclusive_group()
    for what in ("services", "images", "volumes", "networks", "profiles"):
        view.add_argument(f"--{what}", action="store_true", help=f"only the names of the {what}")
    view.add_argument("--environment", action="store_true", help="the variables that fill in the files")
    view.add_argument("--variables", action="store_true", help="the variables that the files name, with their values")
    view.add_argument("--origin", action="store_true", help="each value with the place that it comes from")
    view.add_argument("--explain", metavar="VAR", help="where a variable gets its value, and who uses it")
    view.add_argument("--hash", metavar="SERVICE", help="a hash of a service, which changes with it; '*' is all")
    parser.add_argument("--no-interpolate", action="store_true", help="leave variables as they are written")
    parser.add_argument("--format", choices=("json", "yaml"), default="", metavar="json|yaml", help="as -o")
    add_output(parser, "json", "yaml")


def run(args: argparse.Namespace) -> int:
    from orchestr.manifest import compose

    paths, options = files.chosen(args), files.compose_options(args)
    form = args.format or args.output or "yaml"
    if args.no_interpolate:
        shown = compose.uninterpolated(paths, **options)
        print("" if args.quiet else dump(shown, form), end="" if args.quiet else "\n")
        return OK
    found = compose.project(paths, **options, named=args.chosen)
    for problem in (*found.warnings, *found.unsupported):
        print(problem, file=sys.stderr)
    if not args.quiet:
        print("\n".join(_lines(args, found, form)))
    return OK


def _lines(args: argparse.Namespace, found: "Project", form: str) -> Iterable[str]:
    if args.explain:
        return found.explain(args.explain)
    if args.hash:
        return _hashes(found, args.hash)
    view = next((view for view in VIEWS if getattr(args, view)), None)
    if view:
        lines: Iterable[str] = VIEW[view](found)
        return lines
    from orchestr.manifest.compose import rendered

    config = rendered.escaped(rendered.only(found.config, _known(found, args.chosen)))
    return [dump(rendered.for_json(config) if form == "json" else config, form)]


def _known(found: "Project", chosen: list[str]) -> list[str]:
    for name in chosen:
        if name not in found.config["services"]:
            raise Bad(f"orch config: no service {name} (there are {', '.join(found.config['services'])})")
    return chosen


def _hashes(found: "Project", wanted: str) -> Iterable[str]:
    services = found.config["services"]
    for name in services if wanted == "*" else _known(found, wanted.split(",")):
        text = json.dumps(services[name], sort_keys=True, separators=(",", ":"))
        yield f"{name} {hashlib.sha256(text.encode()).hexdigest()}"


def _images(found: "Project") -> Iterable[str]:
    """A service that is built and names no image gets one called as Compose calls it."""
    named = (one.get("image") or f"{found.name}-{name}" for name, one in found.config["services"].items())
    return dict.fromkeys(named)


def _environment(found: "Project") -> Iterable[str]:
    return [f"{name}={value}" for name, value in sorted(found.environment.variables.items())]


def _variables(found: "Project") -> Iterable[str]:
    known = found.environment.variables
    for name in sorted(found.environment.uses):
        yield f"{name}={known[name]}" if name in known else f"{name} is not set"


def _origin(found: "Project") -> Iterable[str]:
    places = found.provenance
    width = min(max(map(len, places), default=0), 60)
    here = os.getcwd() + "/"
    for field, (value, place) in places.items():
        at = ":".join(str(part) for part in place if part is not None).removeprefix(here)
        yield f"{field:{width}}  {at}  {json.dumps(value, ensure_ascii=False)}"


VIEW: Mapping[str, Any] = {
    "environment": _environment,
    "images": _images,
    "networks": lambda found: found.config.get("networks", {}),
    "origin": _origin,
    "profiles": lambda found: found.profiles,
    "services": lambda found: found.config["services"],
    "variables": _variables,
    "volumes": lambda found: found.config.get("volumes", {}),
}
