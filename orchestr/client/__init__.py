"""Clients of the daemon: `Client` (synchronous, next to no imports, for the CLI) and `remote.RemoteCluster` (trio).

Importing this package costs a command a few milliseconds: socket and json, no general HTTP library.
"""

from orchestr.client.http import NoDaemon
from orchestr.client.paths import path
from orchestr.client.sync import Client

__all__ = ["Client", "NoDaemon", "path"]
