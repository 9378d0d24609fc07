"""After each bad request the objects that were there are unchanged, and the log has no bug of ours."""

import logging

import pytest

from tests.server.bad import APPLY, CASES, CONFIGURATION, DEPLOYMENTS, HAVE, MAPS, SPEC, WEB, Bad
from tests.server.daemon import Daemon


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_bad_request(served: Daemon, case: Bad, caplog: pytest.LogCaptureFixture) -> None:
    status, have = await served.request("PATCH", f"{HAVE}?fieldManager=one", CONFIGURATION, {"content-type": APPLY})
    assert status == 201
    status, web = await served.request("POST", DEPLOYMENTS, {"metadata": {"name": "web"}, "spec": SPEC})
    assert status == 201
    headers = {"content-type": case.media, **case.headers}
    status, answer = await served.request(case.method, case.path, case.data, headers)
    assert not case.wrong(status, answer)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert (await served.request("GET", HAVE))[1] == have
    assert (await served.request("GET", WEB))[1] == web
    assert (await served.request("GET", f"{MAPS}/new"))[0] == 404
