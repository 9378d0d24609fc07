#!/bin/bash
# Installs the system packages that are missing (Debian, Ubuntu). Silent when none is; then it takes some milliseconds.
#   libnftables1, nftables  the packet filter, and the command to look at it
#   libseccomp2             system call filters
#   catatonit               process 1 for `init: true`
#   mmdebstrap, gpg, mount, debian-archive-keyring   orch image bootstrap
#   git, ca-certificates    fetching
#   busybox-static          the root of containers in tests and measurements
#   uidmap                  orch-oci for ordinary users with more than one id
set -euo pipefail

PYTHON=${PYTHON:-python3}
PACKAGES=(libnftables1 nftables libseccomp2 catatonit mmdebstrap gpg mount debian-archive-keyring git ca-certificates
    busybox-static uidmap)

if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "make install: $PYTHON is not Python 3.11 or newer (install it, or give make PYTHON=/path/to/python)" >&2
    exit 1
fi
if ! "$PYTHON" -c 'import venv, ensurepip' 2> /dev/null; then
    PACKAGES+=(python3-venv)
fi

if ! command -v apt-get > /dev/null || ! command -v dpkg-query > /dev/null; then
    missing=()
    for program in nft catatonit mmdebstrap git busybox; do
        command -v "$program" > /dev/null || missing+=("$program")
    done
    if ((${#missing[@]})); then
        echo "make install: this system has no apt; install what provides: ${missing[*]}" >&2
        echo "  (on Debian the packages are: ${PACKAGES[*]})" >&2
        exit 1
    fi
    exit 0
fi

missing=()
for package in "${PACKAGES[@]}"; do
    # One file says that a package is installed; asking dpkg-query for each would take ten times as long.
    compgen -G "/var/lib/dpkg/info/$package.list" > /dev/null \
        || compgen -G "/var/lib/dpkg/info/$package:*.list" > /dev/null \
        || missing+=("$package")
done
((${#missing[@]})) || exit 0

if ((EUID != 0)); then
    echo "make install: cannot install ${missing[*]}: not root (run: sudo apt-get install ${missing[*]})" >&2
    exit 1
fi
echo "installing system packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { apt-get update && apt-get install --yes --no-install-recommends "${missing[@]}"; } > "$log" 2>&1; then
    cat "$log" >&2
    echo "make install: apt-get could not install ${missing[*]} (its words are above)" >&2
    exit 1
fi
