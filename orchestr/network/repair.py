"""`python -I -m orchestr.network.repair DIR`: makes the bridge of the state file in DIR again, with its pods' ports.

The resolver process runs it when somebody removed the bridge; pyroute2 then costs memory for a moment only.
"""

import os
import sys

from orchestr.network.bridge import restore
from orchestr.network.netlink import Netlink
from orchestr.network.statefile import STATE, decode


def main(run: str) -> int:
    with open(os.path.join(run, STATE), "rb") as file:
        snapshot = decode(file.read())
    try:
        with Netlink() as netlink:
            restore(netlink, snapshot.bridge, snapshot.links)
    except OSError as error:
        print(f"cannot make bridge {snapshot.bridge.name} again: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
