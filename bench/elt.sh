#!/usr/bin/env bash
# Times `cargo xtask elt` against dbt alone, on the same project, seeds and machine.
#
# Usage: bench/elt.sh [ROUNDS]        three ways of building the committed seeds, alternating (default: 5 rounds)
#        bench/elt.sh scale           `elt` on about 10 thousand, 100 thousand and 1 million movements
#
# The variants alternate within a round, so that a slowdown of the machine affects all of them; each ratio is
# the median of the ratios within the rounds. Everything is installed and parsed once beforehand.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --quiet --package xtask
cargo xtask --quiet python sync >/dev/null
folder="$(mktemp -d)"
trap 'rm -rf "$folder" dbt/target/bench_dbt dbt/target/bench_elt' EXIT
export DBT_DUCKDB_PATH="$folder/bench.duckdb"
dbt="${XTASK_VENV:-$PWD/.venv}/bin/dbt"
TIMEFORMAT='%R'

timed() { { time "$@" >"$folder/out" 2>"$folder/err" || { cat "$folder/out" "$folder/err" >&2; exit 1; }; } 2>&1; }
elt() { cargo xtask --quiet elt --schema bench_elt --force; }
bare() { (cd dbt && DBT_TARGET_SCHEMA=bench_dbt "$dbt" "$@" --profiles-dir . --target-path target/bench_dbt); }
three() { bare seed && bare run && bare test; }

if [ "${1:-}" = scale ]; then
    export DBT_DUCKDB_THREADS="${DBT_DUCKDB_THREADS:-$(nproc)}"
    printf '%12s %12s %12s %10s %10s %10s\n' movements 'order lines' 'silver rows' 'elt s' 'peak MiB' 'db MiB'
    for size in '396 40 3 11' '396 200 5 110' '730 500 8 600'; do
        read -r days products warehouses orders <<<"$size"
        cargo xtask --quiet seed --days "$days" --products "$products" --warehouses "$warehouses" \
            --orders-per-day "$orders" --out "$folder/seeds" >/dev/null
        rm -f "$DBT_DUCKDB_PATH"
        # The watcher adds up the memory of the run and its children, once a second.
        (while sleep 1; do ps -eo rss=,args= | awk '/xtask.*elt --schema bench|Runs dbt so that/ { sum += $1 } END { print int(sum / 1024) }'; done) \
            >"$folder/memory" 2>/dev/null &
        watcher=$!
        seconds="$(timed cargo xtask --quiet elt --schema bench_elt --seeds "$folder/seeds" --format json)"
        kill "$watcher"
        python3 - "$folder" "$seconds" <<'EOF'
import json, os, sys
folder, seconds = sys.argv[1], float(sys.argv[2])
nodes = {node["name"]: node["rows"] for node in json.load(open(f"{folder}/out"))["nodes"]}
peak = max(map(int, open(f"{folder}/memory").read().split()), default=0)
size = os.path.getsize(os.environ["DBT_DUCKDB_PATH"]) / 2**20
print(f"{nodes['raw_inventory_movements']:12,} {nodes['raw_customer_orders']:12,} {nodes['daily_inventory']:12,}"
      f" {seconds:10.1f} {peak:10,} {size:10.0f}")
EOF
    done
    exit
fi

rounds="${1:-5}"
timed elt >/dev/null
timed bare build >/dev/null
: >"$folder/times"
for _ in $(seq "$rounds"); do
    echo "$(timed elt) $(timed bare build) $(timed three)" | tee -a "$folder/times" | awk '{ printf "elt %.2f s   dbt build %.2f s   dbt seed + run + test %.2f s\n", $1, $2, $3 }'
done
python3 - "$folder/times" <<'EOF'
import statistics, sys
rounds = [tuple(map(float, line.split())) for line in open(sys.argv[1])]
print("median seconds: elt %.2f, dbt build %.2f, dbt seed + run + test %.2f" % tuple(map(statistics.median, zip(*rounds))))
print("elt takes %.2f times the time of dbt build (goal: at most 1.10)" % statistics.median(e / b for e, b, _ in rounds))
print("elt is %.2f times faster than dbt seed + run + test (goal: at least 2.30)" % statistics.median(t / e for e, _, t in rounds))
EOF
