"""nftables transactions: a text of commands that the kernel carries out whole or not at all."""

import threading

from orchestr import nftables
from orchestr.network.seam import NetworkFailure


class Nft:
    """Blocks; one transaction at a time, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._library = nftables.load()

    def run(self, text: str) -> None:
        """Carries out the commands. NetworkFailure with what nftables said, and then nothing has changed."""
        with self._lock:
            said = nftables.transaction(self._library, text)
        if said is not None:
            reason = next((line for line in said.splitlines() if line), "no reason given")
            raise NetworkFailure(f"cannot change nftables: {reason} (see `nft list tables`; Linux 6.1 is needed)")


def listed(command: str) -> str:
    """What a `list` command shows. NetworkFailure."""
    out, error = nftables.listed(command)
    if error is not None:
        raise NetworkFailure(f"cannot read nftables: {error.strip() or 'no reason given'} (see `nft {command}`)")
    return out
