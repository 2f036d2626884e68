#!/usr/bin/env bash
# Runs doctor, lint, elt, elt again, a copy, metrics and the drop on dbt projects; one line of results each.
#
#     bench/projects.sh FOLDER…
#
# Each folder is copied first, so nothing in it changes. Needs XTASK (the built program; by default target/debug/xtask) and
# uses XTASK_VENV if it is set. A project that plain `dbt build` on DuckDB cannot build is out of scope.
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
xtask=${XTASK:-$here/target/debug/xtask}
export XTASK_VENV=${XTASK_VENV:-$here/.venv} CI=true
[ $# -gt 0 ] || { sed -n '2,8p' "$0"; exit 2; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

step() {
    local name=$1 expected=$2
    shift 2
    local code=0
    "$@" > "$work/out" 2> "$work/err" || code=$?
    if [[ " $expected " == *" $code "* ]]; then
        printf '  %s=%s' "$name" "$code"
    else
        printf '  %s=%s!' "$name" "$code"
        { echo "== $project $name"; tail -n 15 "$work/out" "$work/err"; } >> "$work/failures"
    fi
}

: > "$work/failures"
for folder in "$@"; do
    project=$(basename "$folder")
    copy=$work/$project
    rm -rf "$copy"
    cp -R "$folder" "$copy"
    rm -rf "$copy/.git"
    git -C "$copy" init --quiet
    printf '%s' "$project"
    (
        cd "$copy"
        step doctor "0" "$xtask" doctor
        step lint "0 1" "$xtask" lint
        step elt "0" "$xtask" elt --schema issue_1
        step again "0" "$xtask" elt --schema issue_1
        grep -q 'up to date' "$work/out" && printf ' (up to date)'
        step copy "0" "$xtask" elt --schema issue_2 --base issue_1
        step metrics "0" "$xtask" metrics
        step drop "0" "$xtask" schema drop --schema issue_1
    )
    echo
done
if [ -s "$work/failures" ]; then
    cat "$work/failures"
    exit 1
fi
