"""orch-oci: the OCI runtime command over the same launch code. See `orch-oci help`."""


def main() -> None:
    from orchestr.runtime.oci.command import main as run

    run()
