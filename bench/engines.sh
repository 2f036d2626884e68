#!/usr/bin/env bash
# Times `cargo xtask elt` on dbt v2 against both generations of dbt alone, on the same project, seeds and machine.
#
# Usage: bench/engines.sh [ROUNDS]           this repository's project with all of its tests (default: 5 rounds)
#        bench/engines.sh generated [ROUNDS] 300 generated models with 600 tests (default: 3 rounds)
#        bench/engines.sh install            the first installation of dbt v2: seconds of processor time
#
# The variants alternate within a round, so that a slowdown of the machine affects all of them; each ratio is the median of
# the ratios within the rounds. Each variant has a separate database file. `wall/cpu` seconds are those of the command and
# its children. Everything is installed beforehand. dbt v2 is the one of the package index; without --wheel the stable release
# is measured (XTASK_BENCH_RELEASE=1).
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --quiet --package xtask
xtask="$PWD/target/debug/xtask"
folder="$(mktemp -d)"
trap '"$xtask" --quiet schema drop --schema branch_bench --if-exists >/dev/null; rm -rf "$folder" dbt/target/bench_*' EXIT
export XTASK_DBT_DIR="$folder/v2"
# As users have it: a file for each environment.
unset DBT_DUCKDB_PATH
wheel=--wheel
[ -z "${XTASK_BENCH_RELEASE:-}" ] || wheel=
uptime >&2

# Wall and processor seconds of a command, as `1.40 2.10`.
timed() {
    /usr/bin/env python3 - "$folder/out" "$@" <<'EOF'
import resource, subprocess, sys, time
begun = time.monotonic()
with open(sys.argv[1], "w") as out:
    code = subprocess.run(sys.argv[2:], stdout=out, stderr=subprocess.STDOUT).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
if code:
    sys.exit(open(sys.argv[1]).read())
print(f"{time.monotonic() - begun:.3f} {used.ru_utime + used.ru_stime:.3f}")
EOF
}

if [ "${1:-}" = install ]; then
    echo "dbt use v2 (wall, processor seconds): $(timed "$xtask" --quiet dbt use v2 $wheel)"
    du -sh "$XTASK_DBT_DIR"/*
    exit
fi

"$xtask" --quiet dbt use v2 $wheel
XTASK_DBT_ENGINE=v1 "$xtask" --quiet python sync >/dev/null
v1="${XTASK_VENV:-$PWD/.venv}/bin/dbt"
v2="$XTASK_DBT_DIR/dbt/dbt"
export ADBC_DRIVER_PATH="$XTASK_DBT_DIR/duckdb/manifests"
quiet=(--no-version-check --no-send-anonymous-usage-stats)

if [ "${1:-}" = generated ]; then
    rounds="${2:-3}"
    python3 bench/engines/generate.py 300 "$folder/project"
    project="$folder/project"
    # The toolkit writes the driver's manifest, which the bare dbt v2 needs too, when it starts v2 for the first time.
    XTASK_DBT_ENGINE=v2 "$xtask" --quiet elt --schema bench_v2 --project-dir "$project" >/dev/null
    build() { (cd "$project" && BENCH_FILE="$folder/$2.duckdb" timed "$1" build --profiles-dir . --target-path "target/$2" "${quiet[@]}"); }
    build "$v1" v1 >/dev/null
    build "$v2" v2 >/dev/null
    : >"$folder/times"
    for _ in $(seq "$rounds"); do
        # Assigned one by one: a failure inside of an echo would go unnoticed.
        native="$(build "$v2" v2)"
        python="$(build "$v1" v1)"
        echo "$native $python" | tee -a "$folder/times"
    done
    python3 - "$folder/times" <<'EOF'
import statistics, sys
rounds = [tuple(map(float, line.split())) for line in open(sys.argv[1])]
median = lambda values: statistics.median(list(values))
print("300 models, wall seconds: v2 %.2f, v1 %.2f" % (median(r[0] for r in rounds), median(r[2] for r in rounds)))
print("300 models, cpu seconds: v2 %.2f, v1 %.2f" % (median(r[1] for r in rounds), median(r[3] for r in rounds)))
print("v2 is %.2f times faster in wall time, %.2f times in processor time (goal: at least 3)"
      % (median(r[2] / r[0] for r in rounds), median(r[3] / r[1] for r in rounds)))
EOF
    exit
fi

rounds="${1:-5}"
elt() { XTASK_DBT_ENGINE=v2 timed "$xtask" --quiet elt --schema branch_bench --force; }
# In an environment that the toolkit has created: the ledger's tables are inputs of the models and unit tests.
bare() { (cd dbt && DBT_DUCKDB_PATH="$folder/file_$2.duckdb" DBT_TARGET_SCHEMA="bench_$2" timed "$1" build --profiles-dir . --target local --target-path "target/bench_$2" "${quiet[@]}"); }
for engine in v1 v2; do
    DBT_DUCKDB_PATH="$folder/file_$engine.duckdb" XTASK_DBT_ENGINE=v2 "$xtask" --quiet elt --schema "bench_$engine" >/dev/null
done
elt >/dev/null
bare "$v1" v1 >/dev/null
bare "$v2" v2 >/dev/null
: >"$folder/times"
for _ in $(seq "$rounds"); do
    ours="$(elt)"
    native="$(bare "$v2" v2)"
    python="$(bare "$v1" v1)"
    echo "$ours $native $python" | tee -a "$folder/times" |
        awk '{ printf "wall/cpu seconds: elt on v2 %.2f/%.2f   dbt build v2 %.2f/%.2f   v1 %.2f/%.2f\n", $1, $2, $3, $4, $5, $6 }'
done
python3 - "$folder/times" <<'EOF'
import statistics, sys
rounds = [tuple(map(float, line.split())) for line in open(sys.argv[1])]
median = lambda values: statistics.median(list(values))
print("median wall seconds: elt on v2 %.2f, dbt build v2 %.2f, v1 %.2f" % tuple(median(r[i] for r in rounds) for i in (0, 2, 4)))
print("median cpu seconds: elt on v2 %.2f, dbt build v2 %.2f, v1 %.2f" % tuple(median(r[i] for r in rounds) for i in (1, 3, 5)))
for name, at in (("wall", 0), ("cpu", 1)):
    print("%s: elt on v2 takes %.2f times the time of dbt build v2 (goal: at most 1.15), and is %.2f times faster than v1 (goal: at least 4)"
          % (name, median(r[at] / r[at + 2] for r in rounds), median(r[at + 4] / r[at] for r in rounds)))
EOF
