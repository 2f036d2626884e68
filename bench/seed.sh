#!/usr/bin/env bash
# The speed and memory use of `cargo xtask seed` at 100 thousand, 1 and 10 million rows: more orders per day
# first, then ten times the days, which must not need more memory.
#
# Usage: bench/seed.sh [FOLDER]
# FOLDER (default: a new one in $TMPDIR) takes up to 800 MB, which are removed again. The program is the
# one that `cargo xtask` runs (dev profile). "disk" is what a plain copy of the same bytes with an fsync
# takes on this disk: the lower bound for any generator.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --quiet --package xtask
xtask="${CARGO_TARGET_DIR:-target}/debug/xtask"
base="${1:-${TMPDIR:-/tmp}}"
folder="$(mktemp -d "$base/seed-bench.XXXXXX")"
trap 'rm -rf "$folder"' EXIT
TIMEFORMAT='%R %U %S'

printf '%6s %11s %12s %9s %9s %16s %9s %9s\n' days orders/day rows seconds cpu rows/minute 'peak MiB' 'disk s'
for size in '396 60' '396 600' '396 6000' '3960 600'; do
    read -r days orders <<<"$size"
    { time "$xtask" --quiet seed --products 300 --days "$days" --orders-per-day "$orders" --out "$folder/out" \
        >"$folder/summary"; } 2>"$folder/time"
    read -r seconds user system <"$folder/time"
    rows="$(cat "$folder"/out/*.csv | wc -l)"
    peak="$(grep -oE '[0-9]+ MiB of memory' "$folder/summary" | cut -d' ' -f1 || echo '?')"
    { time cat "$folder"/out/*.csv | dd of="$folder/copy" bs=256k iflag=fullblock conv=fsync status=none; } 2>"$folder/time"
    read -r disk _ <"$folder/time"
    awk -v days="$days" -v orders="$orders" -v rows="$rows" -v s="$seconds" -v u="$user" -v y="$system" -v peak="$peak" -v disk="$disk" 'BEGIN {
        printf "%6d %11d %12d %9.2f %9.2f %16d %9s %9.2f\n", days, orders, rows - 5, s, u + y, (rows - 5) / s * 60, peak, disk }'
done
