"""Who has which pod address and which range of user ids. In memory; what the store says of pods is entered at start.

One number names both addresses of a pod. An address that was given back is used again as late as possible, so that a
stale connection or DNS answer does not reach a stranger.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from orchestr.network.seam import NetworkFailure

RANGE = 65536  # user ids of one pod
FIRST_UID = 0x0100_0000  # well above what people and distributions give out
LAST_UID = 0x7FFE_0000  # an id stays below 2**31 - 1


class NoAddressLeft(NetworkFailure):
    """The range of pod addresses is used up."""


class Addresses:
    def __init__(self, ipv4: IPv4Network, ipv6: IPv6Network, offset: float = 0.0) -> None:
        """`offset` (0..1) spreads the id ranges of several daemons on one machine."""
        self._v4, self._v6 = ipv4, ipv6
        self._by_pod: dict[str, int] = {}
        self._taken: set[int] = set()
        self._next = 2  # 0 is the network, 1 the gateway
        slots = (LAST_UID - FIRST_UID) // RANGE
        self._slots, self._slot = slots, int(slots * offset)
        self._uids: dict[str, int] = {}
        self._uids_taken: set[int] = set()

    def take(self, pod: str) -> tuple[IPv4Address, IPv6Address]:
        """The pod's addresses; the same at every call until they are released."""
        number = self._by_pod.get(pod)
        if number is None:
            number = self._free()
            self._enter(pod, number)
        return self._v4[number], self._v6[number]

    def claim(self, pod: str, ipv4: str) -> None:
        """Enters an address that a pod already has; an address outside the range or taken is not kept."""
        number = int(IPv4Address(ipv4)) - int(self._v4.network_address)
        if 2 <= number < self._v4.num_addresses - 1 and number not in self._taken:
            self._enter(pod, number)

    def release(self, pod: str) -> None:
        number = self._by_pod.pop(pod, None)
        if number is not None:
            self._taken.discard(number)
        slot = self._uids.pop(pod, None)
        if slot is not None:
            self._uids_taken.discard(slot)

    def uid_base(self, pod: str) -> int:
        """The first host id of the pod's range; the same at every call until released."""
        if pod not in self._uids:
            while self._slot in self._uids_taken:
                self._slot = (self._slot + 1) % self._slots
            self._uids[pod] = self._slot
            self._uids_taken.add(self._slot)
            self._slot = (self._slot + 1) % self._slots
        return FIRST_UID + self._uids[pod] * RANGE

    def claim_uids(self, pod: str, base: int) -> None:
        """Enters the range that a living sandbox already has."""
        slot = (base - FIRST_UID) // RANGE
        self._uids[pod] = slot
        self._uids_taken.add(slot)

    def _enter(self, pod: str, number: int) -> None:
        self._by_pod[pod] = number
        self._taken.add(number)

    def _free(self) -> int:
        last = self._v4.num_addresses - 1  # the broadcast address
        for step in range(last):
            number = 2 + (self._next - 2 + step) % (last - 2)
            if number not in self._taken:
                self._next = number + 1
                return number
        raise NoAddressLeft(
            f"cannot give an address: all of {self._v4} are in use (start the daemon with a larger --pod-cidr)"
        )
