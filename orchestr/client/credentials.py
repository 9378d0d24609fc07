"""How a client proves who it is over https, and whom it believes. Imports next to nothing: the CLI reads it too."""

import os
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import ssl

    from orchestr.client.execplugin import Plugin


class Credentials(NamedTuple):
    """Certificates and keys are PEM texts."""

    ca: str = ""  # whom the server's certificate must come from; "": those that this machine trusts
    certificate: str = ""
    key: str = ""
    token: str = ""
    token_file: str = ""  # read at each use: it changes before the token expires
    server_name: str = ""  # what the server's certificate must name, where that is not the host
    insecure: bool = False  # any certificate will do
    plugin: "Plugin | None" = None  # a program that gives token or certificate
    acting: tuple[tuple[str, str], ...] = ()  # headers that name whom we act as (impersonation)

    def headers(self) -> dict[str, str]:
        """ValueError where a program gives no token."""
        token = self.token
        if self.token_file:
            with open(self.token_file, encoding="ascii") as file:
                token = file.read().strip()
        if self.plugin is not None:
            token = self.plugin.credential().token
        return {**({"authorization": f"Bearer {token}"} if token else {}), **dict(self.acting)}

    def context(self) -> "ssl.SSLContext":
        """The settings of TLS. ValueError for a certificate or key that cannot be used."""
        import ssl  # 10 ms, which a command on the unix socket does not pay

        context = ssl.create_default_context(cadata=self.ca or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.insecure:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        certificate, key = self.certificate, self.key
        if self.plugin is not None and (given := self.plugin.credential()).certificate:
            certificate, key = given.certificate, given.key
        if certificate:
            descriptor = os.memfd_create("client")  # the library takes only a file, and a key belongs on no disk
            try:
                os.write(descriptor, f"{certificate}\n{key}\n".encode())
                context.load_cert_chain(f"/proc/self/fd/{descriptor}")
            except ssl.SSLError as error:
                raise ValueError(
                    f"cannot use the client certificate: {error.reason or error} (correct the kubeconfig)"
                ) from error
            finally:
                os.close(descriptor)
        return context
