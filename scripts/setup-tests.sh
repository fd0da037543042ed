#!/usr/bin/env bash
# Installs what the tests need, and only what is missing: nmap, tshark, smbclient, ssdeep, yara and chromium from Debian,
# impacket and pefile into .venv from Python's package index. Can be run any number of times.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup-tests: %s\n' "$*"; }
fail() { printf 'setup-tests: %s\n' "$*" >&2; exit 1; }

# Debian's tools live in sbin too, which a user's PATH may lack.
PATH="$PATH:/usr/sbin:/sbin"

packages=()
command -v nmap >/dev/null || packages+=(nmap)
command -v tshark >/dev/null || packages+=(tshark)
command -v smbclient >/dev/null || packages+=(smbclient)
command -v ssdeep >/dev/null || packages+=(ssdeep)
command -v yara >/dev/null || packages+=(yara)
# The console's tests look at it in a real browser.
command -v chromium >/dev/null || packages+=(chromium)
command -v python3 >/dev/null || packages+=(python3)
# The tests pin cores and limit files with these; every Debian has them.
command -v taskset >/dev/null || packages+=(util-linux)
# Without root, one test takes port 445 in a network namespace of its own.
[ "$(id -u)" -eq 0 ] || command -v ip >/dev/null || packages+=(iproute2)
if command -v python3 >/dev/null; then
    python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)
else
    packages+=(python3-venv)
fi

if [ "${#packages[@]}" -gt 0 ]; then
    say "installing with apt: ${packages[*]}"
    command -v apt-get >/dev/null || fail "no apt-get here: please install ${packages[*]} and run this again"
    as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "not root and no sudo: please install ${packages[*]} and run this again"
        as_root=(sudo)
    fi
    export DEBIAN_FRONTEND=noninteractive
    "${as_root[@]}" apt-get update -q </dev/null || say "apt-get update failed; trying with the lists at hand"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends "${packages[@]}" </dev/null ||
        fail "apt-get could not install ${packages[*]}"
fi

wanted="$(sha256sum scripts/requirements-tests.txt | cut -d' ' -f1)"
if [ "$(cat .venv/.requirements 2>/dev/null || true)" != "$wanted" ]; then
    say "installing into .venv: $(grep -v '^#' scripts/requirements-tests.txt | tr '\n' ' ')"
    rm -rf .venv
    python3 -m venv .venv || fail "python3 cannot make a virtual environment"
    .venv/bin/pip install -q --disable-pip-version-check -r scripts/requirements-tests.txt </dev/null ||
        fail "pip could not install scripts/requirements-tests.txt"
    printf '%s\n' "$wanted" >.venv/.requirements
fi

say "ready: $(nmap --version | head -n 1 | cut -d' ' -f1-3), $(tshark --version 2>/dev/null | head -n 1 |
    cut -d' ' -f1-3), smbclient $(smbclient --version | cut -d' ' -f2), $(.venv/bin/pip list \
    --disable-pip-version-check 2>/dev/null | awk '$1 == "impacket" || $1 == "pefile" { printf "%s%s %s", sep, $1, $2; sep = ", " }'), ssdeep $(ssdeep -V), $(chromium --version 2>/dev/null | cut -d' ' -f1-2)"
