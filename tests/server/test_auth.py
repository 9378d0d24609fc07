"""Who asks: certificates that the authority signed, tokens, nobody. And that TLS keeps the limits of the socket."""

import os
import ssl
import stat
from base64 import b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trio
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from orchestr.api.base import ObjectMeta
from orchestr.api.serviceaccount import ServiceAccount
from orchestr.server import listen, pki
from orchestr.server.auth import PROTOCOL, Unauthorized, authenticate, bearer
from orchestr.server.tls import DEFAULT_PORT_FILE, CannotListen, Tls, kept_socket, tcp_socket, url
from orchestr.server.user import ANONYMOUS, User
from tests.server.daemon import Daemon, config_map, read
from tests.server.secured import Secured

NOW = datetime(2026, 1, 1, tzinfo=UTC)
UNAUTHORIZED = {
    "kind": "Status",
    "apiVersion": "v1",
    "metadata": {},
    "status": "Failure",
    "message": "Unauthorized",
    "reason": "Unauthorized",
    "code": 401,
}


async def test_a_certificate_of_the_masters_may_do_everything(https: Secured) -> None:
    admin = https.client("jane", "system:masters")
    assert (await https.call("POST", "/api/v1/namespaces/default/configmaps", config_map("a"), client=admin))[0] == 201
    status, found = await https.call("GET", "/api/v1/namespaces/default/configmaps/a", client=admin)
    assert (status, found["metadata"]["name"]) == (200, "a")


@pytest.mark.parametrize("path", ["/livez", "/livez/ping", "/readyz", "/healthz", "/version", "/version/"])
async def test_health_and_version_are_open(https: Secured, path: str) -> None:
    assert (await https.call("GET", path))[0] == 200


@pytest.mark.parametrize("path", ["/api", "/apis/apps/v1", "/api/v1/pods", "/orchestr.dev/v1/system", "/no/such", "/"])
@pytest.mark.parametrize("token", ["", "no.such.token"])
async def test_nobody_gets_nothing_else(https: Secured, path: str, token: str) -> None:
    assert await https.call("GET", path, token=token) == (401, UNAUTHORIZED)
    assert (await https.call("POST", "/livez", {}, token=token))[0] == 401


async def test_the_end_of_a_large_body_of_nobody_is_not_waited_for(https: Secured) -> None:
    assert await https.call("POST", "/orchestr.dev/v1/apply", {"items": ["x" * 2_000_000]}) == (401, UNAUTHORIZED)


def bad_certificates(https: Secured) -> dict[str, ssl.SSLContext]:
    """Clients whose certificate does not count, by why."""
    now, masters = datetime.now(UTC), "system:masters"
    pairs = {
        "another authority": pki.client(pki.authority(now), "root", [masters], now),
        "expired": pki.client(https.tls.ca, "root", [masters], now - timedelta(days=2), timedelta(days=1)),
        "not yet": pki.client(https.tls.ca, "root", [masters], now + timedelta(days=2)),
        "for servers": pki.serving(https.tls.ca, ["root"], now),
        "its own authority": pki.authority(now),
    }
    found = {}
    for why, pair in pairs.items():
        found[why] = loaded(https, pair)
    return found


def loaded(https: Secured, pair: pki.Pair) -> ssl.SSLContext:
    """A client with this certificate."""
    path, context = os.path.join(https.directory, "other.pem"), https.client()
    with open(path, "wb") as file:
        file.write(pair.pem + pair.key_pem)
    context.load_cert_chain(path)
    return context


@pytest.mark.parametrize("why", ["another authority", "expired", "not yet", "for servers", "its own authority"])
async def test_a_certificate_that_does_not_count_is_told_so(https: Secured, why: str) -> None:
    """Not by an end of the handshake, which clients show as a broken connection."""
    client = bad_certificates(https)[why]
    assert await https.call("GET", "/api/v1/pods", client=client) == (401, UNAUTHORIZED)
    assert await https.call("GET", "/livez", client=client) == (401, UNAUTHORIZED)
    assert (await https.call("GET", "/livez"))[0] == 200


async def test_a_token_counts_beside_a_certificate_that_does_not(https: Secured) -> None:
    client = bad_certificates(https)["expired"]
    account = ServiceAccount(metadata=ObjectMeta(name="robot", namespace="default"))
    made = await https.cluster.create(account)
    assert https.access.issuer is not None
    token, _ = https.access.issuer.issue(made, (), 600)
    status, found = await https.call("GET", "/api", client=client, token=token)
    assert (status, "system:serviceaccount:default:robot" in found["message"]) == (403, True)
    assert (await https.call("GET", "/api", client=client, token="no.such.token"))[0] == 401


async def test_time_goes_on_while_a_connection_is_open(https: Secured) -> None:
    context = https.client("jane", "system:masters")
    async with await trio.open_tcp_stream("127.0.0.1", https.port) as plain:
        stream = trio.SSLStream(plain, context, server_hostname="localhost", https_compatible=True)
        for days, code in ((0, 200), (364, 200), (366, 401)):
            https.tls._clock = lambda days=days: datetime.now(UTC) + timedelta(days=days)  # type: ignore[misc]
            await stream.send_all(b"GET /api HTTP/1.1\r\nhost: x\r\n\r\n")
            assert (await read(stream))[0] == code


async def test_certificates_are_taken_back(https: Secured) -> None:
    path = "/orchestr.dev/v1/kubeconfig"
    jane, joe = https.client("jane", "system:masters"), https.client("joe", "system:masters")
    assert (await https.call("DELETE", f"{path}?user=joe", client=jane))[0] == 403  # only on the machine itself
    status, told = await https.local.request("DELETE", f"{path}?user=jane")
    assert (status, told["details"]["name"]) == (200, "jane")
    assert (await https.call("GET", "/api", client=jane))[0] == 401
    assert (await https.call("GET", "/api", client=joe))[0] == 200
    pair = https.tls.issue("jane", ["system:masters"], timedelta(hours=1))  # in the same second
    again = loaded(https, pair)
    assert (await https.call("GET", "/api", client=again))[0] == 200
    assert Tls(https.tls.directory, ("localhost",), lambda: datetime.now(UTC)).revoked == https.tls.revoked


async def test_old_protocols_are_refused(https: Secured) -> None:
    context = https.client()
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(trio.BrokenResourceError):
        await https.call("GET", "/livez", client=context)


async def test_clients_that_never_speak_tls_are_cut_off(https: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listen, "HANDSHAKE", 0.05)
    async with await trio.open_tcp_stream("127.0.0.1", https.port) as stream:
        with trio.fail_after(5):
            assert await stream.receive_some() == b""
    assert (await https.call("GET", "/livez"))[0] == 200


async def test_a_head_that_never_ends_is_cut_off(https: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = await trio.open_tcp_stream("127.0.0.1", https.port)
    stream = trio.SSLStream(plain, https.client(), server_hostname="localhost", https_compatible=True)
    async with plain:
        await stream.send_all(b"GET /livez HTTP/1.1\r\nhost: x\r\nx: " + b"y" * (listen.HEAD_LIMIT + 4096))
        with trio.fail_after(5):
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 4")


async def test_new_clients_get_a_renewed_certificate(https: Secured) -> None:
    before = https.tls.server
    assert before is not None
    assert not https.tls.refresh()
    https.tls._clock = lambda: datetime.now(UTC) + timedelta(days=300)
    assert https.tls.refresh()
    plain = await trio.open_tcp_stream("127.0.0.1", https.port)
    context = https.client()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # its begin is yet to come
    async with plain:
        stream = trio.SSLStream(plain, context, server_hostname="localhost")
        await stream.do_handshake()
        shown = x509.load_der_x509_certificate(stream.getpeercert(binary_form=True))
    assert https.tls.server is not None
    assert shown == https.tls.server.certificate != before.certificate


async def test_a_kubeconfig_is_made_over_the_socket_only(https: Secured) -> None:
    admin = https.client("jane", "system:masters")
    status, found = await https.call("POST", "/orchestr.dev/v1/kubeconfig", {}, client=admin)
    assert (status, found["reason"]) == (403, "Forbidden")
    wanted = {"user": "joe", "groups": ["dev", "ops"], "namespace": "shop", "expirationSeconds": 3600}
    status, found = await https.local.request("POST", "/orchestr.dev/v1/kubeconfig", wanted)
    assert status == 200
    assert found["contexts"][0]["context"] == {"cluster": "orch", "user": "joe", "namespace": "shop"}
    assert found["clusters"][0]["cluster"]["server"] == f"https://127.0.0.1:{https.port}"
    made = x509.load_pem_x509_certificate(b64decode(found["users"][0]["user"]["client-certificate-data"]))
    assert pki.subject_of(made) == ("joe", ("dev", "ops"))
    assert made.not_valid_after_utc - datetime.now(UTC) <= timedelta(hours=1)


@pytest.mark.parametrize(
    ("given", "code"),
    [({"user": "j" * 65}, 400), ({"groups": "dev"}, 400), ({"expirationSeconds": 1}, 400), ({"usr": "x"}, 400)],
)
async def test_a_kubeconfig_that_cannot_be_is_refused(https: Secured, given: dict[str, object], code: int) -> None:
    status, found = await https.local.request("POST", "/orchestr.dev/v1/kubeconfig", given)
    assert (status, found["message"].partition(":")[0]) == (code, "cannot make a kubeconfig")


async def test_without_https_there_is_no_kubeconfig(served: Daemon) -> None:
    status, found = await served.request("POST", "/orchestr.dev/v1/kubeconfig", {})
    assert (status, found["reason"]) == (503, "ServiceUnavailable")


def test_certificates_are_private_and_kept(tmp_path: Path) -> None:
    directory = pki.Directory(str(tmp_path / "pki"))
    ca = directory.authority(NOW)
    server = directory.serving(ca, ["localhost", "::1"], NOW)
    assert directory.authority(NOW).certificate == ca.certificate
    assert directory.serving(ca, ["::1", "localhost"], NOW).certificate == server.certificate
    assert directory.serving(ca, ["localhost"], NOW).certificate != server.certificate
    assert key_numbers(directory) == key_numbers(directory)
    modes = {stat.S_IMODE(os.stat(tmp_path / "pki" / name).st_mode) for name in os.listdir(tmp_path / "pki")}
    assert modes == {0o600}
    assert stat.S_IMODE(os.stat(tmp_path / "pki").st_mode) == 0o700


def key_numbers(directory: pki.Directory) -> int:
    return directory.signing_key().private_numbers().private_value


def test_an_authority_is_renewed_with_its_key(tmp_path: Path) -> None:
    """What the old one signed stays good for whoever has the new one, and the other way round."""
    directory = pki.Directory(str(tmp_path / "pki"))
    old = directory.authority(NOW)
    user = pki.client(old, "jane", [], NOW)
    new = directory.authority(NOW + pki.AUTHORITY_LIFE * 3 / 4)
    assert new.certificate.not_valid_after_utc > old.certificate.not_valid_after_utc
    user.certificate.verify_directly_issued_by(new.certificate)
    assert new.certificate.public_key() == old.certificate.public_key()


def test_certificates_never_run_out(tmp_path: Path) -> None:
    """Fifteen years in steps of a month: whoever trusts the authority of a year ago still can verify the server."""
    directory, day = pki.Directory(str(tmp_path / "pki")), [0]
    tls = Tls(directory, ("localhost",), lambda: NOW + timedelta(days=day[0]))
    authorities, renewed = [tls.ca.certificate], set()
    for day[0] in range(0, 15 * 365, 30):
        tls.refresh()
        now = NOW + timedelta(days=day[0])
        assert tls.server is not None
        assert tls.server.certificate.not_valid_after_utc - now > timedelta(days=60)
        assert tls.ca.certificate.not_valid_after_utc - now > timedelta(days=2 * 365)
        tls.server.certificate.verify_directly_issued_by(authorities[-12:][0])
        authorities.append(tls.ca.certificate)
        renewed |= {tls.server.certificate.serial_number}
    assert len(set(authorities)) == 3
    assert 20 < len(renewed) < 30


async def test_renewal_goes_on_after_a_failure(tmp_path: Path) -> None:
    """The loop looks every hour; a disk that is full once is not the end of it."""
    day, looks = [0], [0]
    tls = Tls(pki.Directory(str(tmp_path / "pki")), ("localhost",), lambda: NOW + timedelta(days=day[0]))
    first = tls.server

    async def sleep(seconds: float) -> None:
        assert seconds == 3600
        looks[0] += 1
        day[0] = 300
        tls.directory.path = str(tmp_path / ("missing" if looks[0] == 1 else "pki"))
        if looks[0] == 3:
            nursery.cancel_scope.cancel()
        await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tls.renew, sleep)
    assert tls.server is not None
    assert first is not None
    assert tls.server.certificate != first.certificate


def test_a_certificate_lives_no_longer_than_its_authority() -> None:
    ca = pki.authority(NOW)
    user = pki.client(ca, "jane", ["dev"], NOW + pki.AUTHORITY_LIFE - timedelta(days=1))
    assert user.certificate.not_valid_after_utc == ca.certificate.not_valid_after_utc
    use = user.certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(use) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    with pytest.raises(ValueError, match="64"):
        pki.client(ca, "j" * 65, [], NOW)


def test_half_a_pair_is_made_anew(tmp_path: Path) -> None:
    directory = pki.Directory(str(tmp_path / "pki"))
    ca = directory.authority(NOW)
    directory.serving(ca, ["localhost"], NOW)
    Path(directory.file("server.key")).write_bytes(pki.key_pem(pki.new_key()))  # it ended between the two files
    tls = Tls(directory, ["localhost"], lambda: NOW)
    assert tls.server is not None
    assert tls.server.certificate.public_key() == tls.server.key.public_key()


def test_the_free_port_is_the_same_next_time(tmp_path: Path) -> None:
    with kept_socket(str(tmp_path)) as first:
        place = url(first)
        assert place.startswith("https://127.0.0.1:")
        with kept_socket(str(tmp_path)) as other:  # taken meanwhile
            assert url(other) != place
            place = url(other)
        assert place.endswith(":" + (tmp_path / DEFAULT_PORT_FILE).read_text().strip())
    with kept_socket(str(tmp_path)) as again:
        assert url(again) == place


def test_a_taken_port_is_told() -> None:
    with (
        tcp_socket("127.0.0.1", 0) as first,
        pytest.raises(CannotListen, match=r"cannot listen on https://127.*: address already in use \(choose"),
    ):
        tcp_socket("127.0.0.1", first.getsockname()[1])
    with pytest.raises(CannotListen, match=r"https://192\.0\.2\.1:\d+: .*\(give an address of this machine\)"):
        tcp_socket("192.0.2.1", 8443)


def scope(*headers: tuple[str, str], **state: object) -> dict[str, object]:
    return {"state": state, "headers": [(name.encode(), value.encode()) for name, value in headers]}


def test_what_a_request_brings_decides_who_asks() -> None:
    def tokens(token: str) -> User:
        return User(f"of {token}")

    def certificates(der: bytes) -> User:
        if der != b"good":
            raise Unauthorized
        return User("jane")

    token = ("authorization", "Bearer abc")
    assert authenticate(scope(), tokens, certificates) is ANONYMOUS
    assert authenticate(scope(token), tokens, certificates).name == "of abc"
    assert authenticate(scope(token, certificate=b"good"), tokens, certificates).name == "jane"
    assert authenticate(scope(token, certificate=b"bad"), tokens, certificates).name == "of abc"
    with pytest.raises(Unauthorized):
        authenticate(scope(certificate=b"bad"), tokens, certificates)


@pytest.mark.parametrize("given", ["Bearer", "Bearer ", "Basic am9lOnB3", "abc", ""])
def test_another_form_of_authorisation_is_refused(given: str) -> None:
    with pytest.raises(Unauthorized):
        bearer(scope(("authorization", given)))
    with pytest.raises(Unauthorized):
        bearer(scope(("authorization", "Bearer a"), ("authorization", "Bearer b")))


def test_a_browser_sends_its_token_as_a_protocol() -> None:
    offered = PROTOCOL + urlsafe_b64encode(b"abc.d").decode().rstrip("=")
    assert bearer({"headers": [], "subprotocols": ["v5.channel.k8s.io", offered]}) == "abc.d"
    with pytest.raises(Unauthorized):
        bearer({"headers": [], "subprotocols": [PROTOCOL + "YQ=x"]})
