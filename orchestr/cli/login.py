"""`orch login [HOST]`: tries user and password at the registry, and keeps them where Docker's client keeps its own."""

import argparse
import sys

from orchestr.cli import OK
from orchestr.cli.errors import Bad, Failed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestr.images.registry.credentials import Credentials

EXAMPLES = """examples:
  orch login registry.example.com -u me           asks for the password
  pass registry | orch login registry.example.com -u me --password-stdin"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("host", nargs="?", metavar="HOST", help="the registry (default: that of short names)")
    parser.add_argument("-u", "--username", metavar="USER", help="asked for when not given")
    parser.add_argument("--password-stdin", action="store_true", help="read the password from standard input")


def run(args: argparse.Namespace) -> int:
    from orchestr.images.registry import credentials, settings
    from orchestr.images.registry.session import Session, first_of
    from orchestr.images.seam import ImageError

    ours = _asked(args)
    try:
        registries = settings.read(settings.file())
        host = args.host or registries.default
        sessions = [Session(endpoint, "", ours) for endpoint in registries.servers(host)]
        first_of(sessions, Session.log_in)
        path = credentials.file()
        credentials.keep(path, host, ours)
    except ImageError as error:
        raise Failed(f"orch: {error}") from error
    print(f"logged in to {host} as {ours.user} (kept in {path})")
    return OK


def _asked(args: argparse.Namespace) -> "Credentials":
    from orchestr.images.registry.credentials import Credentials

    if args.password_stdin:
        if not args.username:
            raise Bad("orch login: --password-stdin needs a user (add --username USER)")
        password = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    else:
        if not sys.stdin.isatty():
            raise Bad("orch login: there is no terminal to ask for the password (use --password-stdin)")
        import getpass

        args.username = args.username or input("user: ")
        password = getpass.getpass("password: ")
    if not args.username or not password:
        raise Bad("orch login: user or password is empty (give both)")
    return Credentials(args.username, password)
