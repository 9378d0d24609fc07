"""The daemon takes pyroute2's messages without the rest of it; who asks for the rest gets it."""

import subprocess
import sys

SCRIPT = """
import sys
import orchestr.network.dataplane, orchestr.network.conntrack, orchestr.network.removals
assert "pyroute2.netlink.rtnl.ifinfmsg" in sys.modules
assert not {"pyroute2.ndb", "pyroute2.iproute", "unittest.mock"} & set(sys.modules)
from pyroute2 import IPRoute
import pyroute2
assert pyroute2.IPRoute is IPRoute
with IPRoute() as netlink:
    assert "lo" in [link.get_attr("IFLA_IFNAME") for link in netlink.get_links()]
"""


def test_the_messages_alone() -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", SCRIPT], check=True)
