#!/usr/bin/env bash
# Times `cargo xtask metrics` on DuckDB as the ledger grows.
#
# Usage: bench/metrics.sh [ROWS]...      rows each of the query log and the node log (default: 100000 10000000)
#
# The rows are from the last ninety days, a thousand per run. Each size is measured five times, warm; the median is
# printed. Only the program itself is timed, as `cargo xtask` starts it.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --quiet --package xtask
python="$(cargo xtask --quiet python sync)"
program="$PWD/target/debug/xtask"
duckdb="$(find "$(dirname "$python")/../lib" -path '*duckdb_cli/duckdb' | head -n 1)"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
export DBT_DUCKDB_PATH="$folder/bench.duckdb"
TIMEFORMAT='%R'

printf '%12s %10s %10s\n' rows 'seconds' 'file MiB'
for rows in "${@:-100000 10000000}"; do
    for size in $rows; do
        rm -f "$DBT_DUCKDB_PATH"
        "$program" --quiet schema create --schema dev >/dev/null
        "$duckdb" -no-init -batch "$DBT_DUCKDB_PATH" >/dev/null <<EOF
set variable step = 90 * 86400.0 / $size;
insert into dev.ledger_runs by name
select 'run' || i as run_id, 'dev' as schema_name, now()::timestamp - interval 90 day + to_seconds(1000 * i * getvariable('step')) as started_at,
    started_at + interval 5 minute as finished_at, if(i % 20 = 3, 'fail', 'success') as status, 300 as seconds,
    true as dbt_started, false as up_to_date, false as full_refresh, '0' as toolkit_version
from range($size // 1000) as t(i);
insert into dev.ledger_queries by name
select 'q' || i as query_id, 'run' || i // 1000 as run_id, 'model.p.m' || i % 1000 as node_id, 'SELECT' as query_type,
    'dev' as schema_name, 'user' || i % 7 as user_name,
    now()::timestamp - interval 90 day + to_seconds(i * getvariable('step')) as start_time,
    cast(exp(random() * 9) as bigint) as total_elapsed_time,
    if(random() < 0.02, 'FAILED_WITH_ERROR', 'SUCCESS') as execution_status,
    '{"environment": "dev", "run_id": "run' || i // 1000 || '", "stage": "elt", "tool": "xtask"}' as query_tag
from range($size) as t(i);
insert into dev.ledger_nodes by name
select 'run' || i // 1000 as run_id, 'model.p.m' || i % 1000 as node_id, 'm' || i % 1000 as name,
    if(i % 5 = 0, 'model', 'test') as kind, 'gold' as layer,
    if(random() < 0.02, 'fail', if(i % 5 = 0, 'success', 'pass')) as status,
    now()::timestamp - interval 90 day + to_seconds(i * getvariable('step')) as started_at, random() * 9 as seconds
from range($size) as t(i);
EOF
        "$program" --quiet metrics >/dev/null 2>&1
        for _ in 1 2 3 4 5; do { time "$program" --quiet metrics >/dev/null 2>&1; } 2>&1; done | sort -n | sed -n 3p >"$folder/median"
        printf '%12s %10s %10s\n' "$size" "$(cat "$folder/median")" "$(du -m "$DBT_DUCKDB_PATH" | cut -f 1)"
    done
done
