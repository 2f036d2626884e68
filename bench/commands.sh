#!/usr/bin/env bash
# Times the commands that users and workflows wait for: `plan` on a large push, and `schema create`, `schema list`, `metrics` and
# `doctor` on Snowflake, simulated by tests/snowflake/endpoint.py.
#
# Usage: bench/commands.sh [ROUNDS]        the medians of ROUNDS runs (default: 7) of the program itself; `cargo` adds its own time
#
# `seconds` hold the simulation, which checks every privilege; `cpu` are the processor seconds of the program alone, and
# `statements` what it sends to Snowflake in a run. The last two are the same on an account.
#
# With strace on PATH it also counts the programs that each command starts, itself among them.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds="${1:-7}"
cargo build --quiet --package xtask
program="$PWD/target/debug/xtask"
python="$(cargo xtask --quiet python sync)"
folder="$(mktemp -d)"
mkfifo "$folder/hold"
# It ends when its standard input is closed.
"$python" tests/snowflake/endpoint.py --port 0 <"$folder/hold" >"$folder/ready" &
exec 3>"$folder/hold"
trap 'exec 3>&-; wait; rm -rf "$folder"' EXIT
until [ -s "$folder/ready" ]; do sleep 0.1; done
port="$("$python" -c 'import json, sys; print(json.load(sys.stdin)["port"])' <"$folder/ready")"
export SNOWFLAKE_HOST=127.0.0.1 SNOWFLAKE_PORT="$port" SNOWFLAKE_PROTOCOL=http SNOWFLAKE_ACCOUNT=ORG-ACCOUNT
export SNOWFLAKE_ROLE=BUILDER SNOWFLAKE_WAREHOUSE=SMALL_WH SNOWFLAKE_DATABASE=logistics_demo
export SNOWFLAKE_USER=BENCH SNOWFLAKE_PASSWORD=local

"$python" - "$folder/push.json" <<'END'
import json, sys

event = json.load(open("tests/events/push.orchestrate-develop.json"))
text = "A message of usual length, with a reason in its body\n\nand a #hash in it that is not a run-tag"
event["commits"] = [event["commits"][0] | {"id": f"{n:040x}", "message": f"{n}: {text}"} for n in range(2048)]
json.dump(event, open(sys.argv[1], "w"))
END

median() { sort -n "$1" | sed -n "$(((rounds + 1) / 2))p"; }

# How many statements have arrived.
sent() {
    "$python" -c 'import json, sys, urllib.request as r
print(len(json.load(r.urlopen(f"http://127.0.0.1:{sys.argv[1]}/__control/statements"))))' "$port"
}

# Each round runs the command with its own number for N. Some commands report findings and exit with 1; that is not a
# failure here.
show() {
    local name="$1" round status before statements started=-
    shift
    : >"$folder/seconds" >"$folder/cpu"
    before="$(sent)"
    for round in $(seq "$rounds"); do
        status=0
        /usr/bin/time -o "$folder/time" -f '%e %U %S' "${@//_N/_$round}" >"$folder/out" 2>&1 || status=$?
        if [ "$status" -gt 1 ]; then
            cat "$folder/out" >&2
            exit "$status"
        fi
        tail -n 1 "$folder/time" | awk -v cpu="$folder/cpu" '{ print $1; printf "%.2f\n", $2 + $3 >>cpu }' >>"$folder/seconds"
    done
    statements=$((($(sent) - before) / rounds))
    if command -v strace >/dev/null; then
        strace -f -e trace=execve -o "$folder/trace" "${@//_N/_0}" >"$folder/out" 2>&1 || status=$?
        started="$(grep -c 'execve(.* = 0' "$folder/trace")"
    fi
    printf '%-36s %8s %6s %11s %9s\n' "$name" "$(median "$folder/seconds")" "$(median "$folder/cpu")" "$statements" "$started"
}

printf '%-36s %8s %6s %11s %9s\n' command seconds cpu statements programs
show "cargo's own, to start any of them" cargo xtask --version
xtask=("$program" --quiet)
show "plan, a push of 2,048 commits" "${xtask[@]}" plan --event-name push --event "$folder/push.json"
show "schema create, new (Snowflake)" "${xtask[@]}" schema create --target snowflake --schema issue_N
show "schema list (Snowflake)" "${xtask[@]}" schema list --target snowflake
show "metrics, one environment (Snowflake)" "${xtask[@]}" metrics --target snowflake --schema issue_1
show "doctor (Snowflake)" "${xtask[@]}" doctor --target snowflake
export SNOWFLAKE_PROTOCOL=https SNOWFLAKE_HOST=10.255.255.1
show "doctor (a host out of reach)" "${xtask[@]}" doctor --target snowflake
