"""How a server ends: streams end cleanly, running requests answer, and nobody can hold it up."""

from pathlib import Path

import trio

from tests.server.daemon import daemon, read
from tests.server.test_watch import Lines

WATCH = b"GET /api/v1/pods?watch=true HTTP/1.1\r\nhost: x\r\n\r\n"


async def test_watches_end_cleanly_and_idle_connections_are_closed(tmp_path: Path) -> None:
    async with daemon(str(tmp_path)) as served:
        idle = await trio.open_unix_socket(served.socket)
        await idle.send_all(b"GET /version HTTP/1.1\r\nhost: x\r\n\r\n")
        await read(idle)
        watching = await trio.open_unix_socket(served.socket)
        await watching.send_all(WATCH)
        lines = Lines(watching)
        assert await lines.head() == 200
        before = trio.current_time()
    assert trio.current_time() - before < 3
    await lines.chunk()
    assert lines.ended
    assert await idle.receive_some() == b""
    await idle.aclose()
    await watching.aclose()


async def test_a_client_that_reads_nothing_cannot_hold_it_up(tmp_path: Path) -> None:
    async with daemon(str(tmp_path)) as served:
        stuck = await trio.open_unix_socket(served.socket)
        await stuck.send_all(b"GET /orchestr.dev/v1/images/save?name=local/redis HTTP/1.1\r\nhost: x\r\n\r\n")
        half = await trio.open_unix_socket(served.socket)
        await half.send_all(b"POST /api/v1/namespaces HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{")
        assert (await served.request("GET", "/version"))[0] == 200
        before = trio.current_time()
    assert trio.current_time() - before < 10
    await stuck.aclose()
    await half.aclose()
