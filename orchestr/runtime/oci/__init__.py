"""orch-oci: the OCI runtime command over the same launch code. See `orch-oci help`."""

import gc
import os
import sys

_LAUNCHING = {"create", "run", "exec"}  # words of the command line; where one is no command, to hide is needless only


def main() -> None:
    """Ends the process: nothing is left to tidy, and tearing an interpreter down takes milliseconds."""
    from orchestr.runtime.oci import partial

    gc.disable()  # all that is made lives as long as we do
    partial.install()
    from orchestr.runtime.oci import forms, packed

    forms.install()
    name = next((word for word in sys.argv[1:] if word in packed.COMMANDS), "")
    found = bool(name) and packed.use(name)
    # An ordinary user's command is run again as root of a namespace (rootless.py).
    if os.geteuid() == 0 and not _LAUNCHING.isdisjoint(sys.argv):
        from orchestr.runtime import exefile

        exefile.arrange()
    from orchestr.runtime.oci import command

    code = command.main()
    if name and not found:
        packed.keep(name)
    os._exit(code)
