"""`python -m bench [NAME...]`: runs measurements, prints a table."""

import argparse
import importlib
import os
import sys
from pathlib import Path

from bench import machine, output
from bench.measure import NAMES
from bench.place import BenchError, prefix_from
from bench.samples import Parts, Row
from bench.world import World


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure, side by side with peers (as root).")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"measurements (default: all): {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="few rounds and services: does it work, not how fast")
    parser.add_argument("--services", type=int, metavar="N", help="size of the stack (default 100, with --quick 10)")
    parser.add_argument(
        "--peers", metavar="COMMAND", help="runs a command where the peers are (default $BENCH_PEERS, else: here)"
    )
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the table into a markdown file, too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples as JSON")
    args = parser.parse_args()
    if unknown := set(args.names) - set(NAMES):
        parser.error(f"no measurement {', '.join(sorted(unknown))} (there are: {', '.join(NAMES)})")
    return args


def main() -> int:
    args = arguments()
    if os.geteuid() != 0:
        print("bench: containers need root", file=sys.stderr)
        return 2
    about = machine.line()  # before our own load
    rows: list[Row | Parts] = []
    services = args.services or (10 if args.quick else 100)
    failed = False
    with World(prefix_from(args.peers), quick=args.quick, services=services) as world:
        for name in args.names or NAMES:
            print(f"bench: {name}", file=sys.stderr, flush=True)
            try:
                rows += importlib.import_module(f"bench.measure.{name}").measure(world)
            except BenchError as error:
                failed = True
                print(f"bench: {name}: {error}", file=sys.stderr)
        text = output.markdown(rows, world.absent, about)
        data = output.as_json(rows, world.absent, about)
    print(text)
    if args.json:
        args.json.write_text(data)
    if args.write:
        output.write(args.write, text)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
