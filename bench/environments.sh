#!/usr/bin/env bash
# Whether DuckDB environments keep out of each other's way, and what a base, a drop and a look at many of them cost.
#
# Usage: bench/environments.sh [ROUNDS] [MIB] [COUNT]...    (default: 3 rounds, a base of 1024 MiB, 200 1000 environments)
#
# 1. Five environments built in a row and all at once, in turns: processor time of all at once by that in a row (at most
#    1.1), and wall time. Without a lock that is shared, wall time follows the processors.
# 2. A build while another program reads `dev` all the time: it must succeed, and says nothing of waiting.
# 3. `schema create --base` from a base of MIB, against `cp` of its file; what a drop gives back.
# 4. `metrics` over COUNT environments.
#
# What is timed is the program itself, as `cargo xtask` starts it, in a copy of this repository's dbt project.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds="${1:-3}"
mib="${2:-1024}"
counts=("${@:3}")
[ "${#counts[@]}" -gt 0 ] || counts=(200 1000)
cargo build --quiet --package xtask
python="$(cargo xtask --quiet python sync)"
XTASK_VENV="$(dirname "$(dirname "$python")")"
export XTASK_VENV
program="$PWD/target/debug/xtask"
duckdb="$(find "$XTASK_VENV/lib" -path '*duckdb_cli/duckdb' | head -n 1)"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/.git"
cp -R dbt policies "$folder/"
rm -rf "$folder/dbt/target" "$folder/dbt/logs"
unset DBT_DUCKDB_PATH DBT_TARGET_SCHEMA XTASK_TARGET GITHUB_ACTIONS
cd "$folder"
files=.xtask/logistics_demo
TIMEFORMAT='%R %U %S'
names=(issue_1 issue_2 issue_3 issue_4 issue_5)

in_a_row() { for name in "${names[@]}"; do "$program" --quiet elt --schema "$name" --force >/dev/null; done; }
at_once() {
    local jobs=()
    for name in "${names[@]}"; do
        "$program" --quiet elt --schema "$name" --force >/dev/null &
        jobs+=("$!")
    done
    for job in "${jobs[@]}"; do wait "$job"; done
}
median() { sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }

echo "load $(cut -d ' ' -f 1-3 /proc/loadavg), $(nproc) processors"
in_a_row
for _ in $(seq "$rounds"); do
    { time in_a_row; } 2>row
    { time at_once; } 2>once
    paste -d ' ' row once >>turns
done
awk '{ printf "five in a row: %5.1f s wall, %5.1f s of processor; at once: %5.1f s wall, %5.1f s of processor\n", $1, $2 + $3, $4, $5 + $6 }' turns
printf 'processor time, at once / in a row: %s\n' "$(awk '{ print ($5 + $6) / ($2 + $3) }' turns | median)"
printf 'wall time, at once / in a row:      %s\n' "$(awk '{ print $4 / $1 }' turns | median)"

"$program" --quiet schema create --schema dev >/dev/null
"$duckdb" -no-init -batch "$files/dev.duckdb" >/dev/null <<EOF
create table filler as select i, hash(i) as a, hash(i + 1) as b, hash(i + 2) as c from range($mib * 32768) as t(i);
EOF
# Reads that never end, as of a person with a shell.
(while sleep 0.1; do echo 'select count(*) from filler;'; done) | "$duckdb" -no-init -batch -readonly "$files/dev.duckdb" >/dev/null &
reader="$!"
"$program" elt --schema issue_1 --force >/dev/null 2>said
kill "$reader" 2>/dev/null || :
wait "$reader" 2>/dev/null || :
printf 'a build beside a reader of dev: done, %s line(s) about waiting\n' "$(grep -c waiting said || :)"

size="$(du -m "$files/dev.duckdb" | cut -f 1)"
for _ in $(seq "$rounds"); do
    { time cp "$files/dev.duckdb" copied; } 2>cp
    rm copied
    { time "$program" --quiet schema create --schema pr_7 --base dev >/dev/null; } 2>base
    before="$(du -sm .xtask | cut -f 1)"
    "$program" --quiet schema drop --schema pr_7 >/dev/null
    freed="$((before - $(du -sm .xtask | cut -f 1)))"
    paste -d ' ' cp base >>copies
done
printf 'a base of %s MiB: cp %s s, schema create --base %s s, ratio %s; a drop gave back %s MiB\n' "$size" \
    "$(cut -d ' ' -f 1 copies | median)" "$(cut -d ' ' -f 4 copies | median)" "$(awk '{ print $4 / $1 }' copies | median)" "$freed"

rm -rf "$files"
for count in "${counts[@]}"; do
    "$program" --quiet elt --schema issue_1 >/dev/null
    for number in $(seq 2 "$count"); do
        [ -e "$files/issue_$number.duckdb" ] && continue
        cp "$files/issue_1.duckdb" "$files/issue_$number.duckdb"
        echo "update ledger_environment set schema_name = 'issue_$number'; update ledger_runs set schema_name = 'issue_$number';" |
            "$duckdb" -no-init -batch "$files/issue_$number.duckdb" >/dev/null
    done
    "$program" --quiet metrics >/dev/null
    for _ in $(seq "$rounds"); do { time "$program" --quiet metrics >/dev/null; } 2>&1; done >looks
    printf 'metrics over %s environments: %s s wall, %s s of processor\n' "$count" \
        "$(cut -d ' ' -f 1 looks | median)" "$(awk '{ print $2 + $3 }' looks | median)"
done
