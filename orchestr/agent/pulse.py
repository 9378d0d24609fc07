"""A wake-up that is never lost: whoever looked before a change does not sleep over it."""

import trio


class Pulse:
    def __init__(self) -> None:
        self.beat = 0
        self._lot = trio.lowlevel.ParkingLot()

    def wake(self) -> None:
        self.beat += 1
        self._lot.unpark_all()

    async def after(self, beat: int) -> None:
        """Returns once there was a wake-up since `beat` was read."""
        while self.beat == beat:
            await self._lot.park()
