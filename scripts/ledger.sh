#!/usr/bin/env bash
# Makes a ledger of so many settlements, the use of a year, measures what people ask of it, and removes it.
#
#   scripts/ledger.sh SETTLEMENTS
set -euo pipefail

cd "$(dirname "$0")/.."

# What a settlement takes on disk, with room to spare, and what the sums and the log of one transaction take.
readonly BYTES_EACH=200
readonly MIB_MORE=256

stop() {
    printf '%s\n' "$1" >&2
    exit 1
}

[[ "${1-}" =~ ^[1-9][0-9]*$ ]] || stop "say how many settlements: scripts/ledger.sh 10000000"
settlements=$1
target=${CARGO_TARGET_DIR:-target}

mkdir -p "$target"
need_mib=$((settlements * BYTES_EACH / 1048576 + MIB_MORE))
free_mib=$(df -Pm "$target" | awk 'NR == 2 { print $4 }')
[ "$free_mib" -ge "$need_mib" ] ||
    stop "a ledger of $settlements settlements needs $need_mib MiB in $target, and $free_mib MiB are free there"

folder=$(mktemp -d "$target/ledger.XXXXXX")
run=
leave() {
    if [ -n "$run" ] && kill -- "-$run" 2>/dev/null; then
        wait "$run" || true
    fi
    rm -rf "$folder"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

printf '\nthe ledger with %s settlements of one year\n\n' "$settlements"
# In a process group of its own, which ends with this script and does not keep it waiting.
set -m
cargo run --release --quiet -p tollgate-store --example ledger -- "$settlements" "$folder/ledger.db" &
run=$!
wait "$run"
