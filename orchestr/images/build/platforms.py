"""--platform: this machine's own, for there is no emulation here."""

from orchestr.arch import arch
from orchestr.images.build.seam import BuildError


def platform_args(platform: str) -> dict[str, str]:
    """TARGETPLATFORM and its like. BuildError for another machine's."""
    own = f"linux/{arch()}"
    check(platform, "--platform")
    found: dict[str, str] = {}
    for name in ("TARGET", "BUILD"):
        found |= {f"{name}PLATFORM": own, f"{name}OS": "linux", f"{name}ARCH": arch(), f"{name}VARIANT": ""}
    return found


def check(platform: str, what: str) -> None:
    own = f"linux/{arch()}"
    if platform and platform not in (own, arch(), *((f"{own}/v8",) if arch() == "arm64" else ())):
        raise BuildError(f"cannot build: {what}={platform} is not supported (this machine is {own})")
