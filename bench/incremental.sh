#!/usr/bin/env bash
# Times what building only the difference saves: nothing changed, a comment, one leaf of 300, a new environment from its base, and
# the plan of 300 and of 3,000 models.
#
# Usage: bench/incremental.sh [ROUNDS]     (default: 3 rounds)
#
# The variants alternate within a round, so that a slowdown of the machine affects all of them; each ratio is the median of the
# ratios within the rounds. dbt v1 is dbt-core as this repository pins it; dbt v2 is the one of the package index.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds="${1:-3}"
cargo build --quiet --package xtask
xtask="$PWD/target/debug/xtask"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
XTASK_DBT_DIR="${XTASK_DBT_DIR:-$PWD/target/dbt-v2}"
XTASK_VENV="${XTASK_VENV:-$PWD/.venv}"
export XTASK_DBT_DIR XTASK_VENV ADBC_DRIVER_PATH="$XTASK_DBT_DIR/duckdb/manifests"
"$xtask" --quiet dbt use v2 --wheel >/dev/null
XTASK_DBT_ENGINE=v1 "$xtask" --quiet python sync >/dev/null
for models in 300 3000; do
    mkdir -p "$folder/$models"
    git -C "$folder/$models" init --quiet
    python3 bench/engines/generate.py "$models" "$folder/$models/dbt"
    cp -r dbt/requirements "$folder/$models/dbt/requirements"
done
uptime
/usr/bin/env python3 - "$rounds" "$folder" "$xtask" <<'END'
import json, os, pathlib, statistics, subprocess, sys, time

rounds, folder, xtask = int(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]
v1 = os.environ["XTASK_VENV"] + "/bin/dbt"
v2 = os.environ["XTASK_DBT_DIR"] + "/dbt/dbt"
leaf = folder / "300/dbt/models/marts/m299.sql"
text = leaf.read_text()


def run(words, where, **more):
    """Wall seconds of a command, and what it printed."""
    begun = time.monotonic()
    ended = subprocess.run(words, cwd=where, env={**os.environ, "CI": "true", **more}, capture_output=True, text=True)
    seconds = time.monotonic() - begun
    if ended.returncode:
        sys.exit(f"{words}: {ended.stdout}{ended.stderr}")
    return seconds, ended.stdout


def elt(schema, *more, models=300, engine="v2"):
    words = [xtask, "--quiet", "elt", "--schema", schema, *more]
    return run(words, folder / str(models), XTASK_DBT_ENGINE=engine)


def report(schema, *more):
    seconds, out = elt(schema, *more, "--format", "json")
    return seconds, json.loads(out)


def dbt(program, name, *more):
    words = [program, "build", "--profiles-dir", ".", "--target-path", f"target/{name}", "--no-version-check",
             "--no-send-anonymous-usage-stats", *more]
    return run(words, folder / "300/dbt", BENCH_FILE=str(folder / f"{name}.duckdb"))[0]


def built(answer):
    return sum(node["kind"] == "model" for node in answer["nodes"]) if answer["dbt_started"] else 0


elt("dev")
dbt(v1, "v1")
dbt(v2, "v2")
figures = {}


def note(name, seconds):
    figures.setdefault(name, []).append(seconds)
    print(f"{name}: {seconds:.3f} s", flush=True)


number = 0
for _ in range(rounds):
    note("cargo's own", run(["cargo", "xtask", "--version"], os.getcwd())[0])
    # Back to what it was before the last round changed it.
    leaf.write_text(text)
    elt("dev")
    seconds, answer = report("dev")
    assert not answer["dbt_started"], answer
    note("nothing changed, 300", seconds)
    note("dbt build, v1", dbt(v1, "v1"))
    note("dbt build, v2", dbt(v2, "v2"))
    leaf.write_text(text + "-- a comment\n")
    seconds, answer = report("dev")
    assert built(answer) == 0 and not answer["dbt_started"], answer
    note("a comment", seconds)
    number += 1
    leaf.write_text(text.replace("max(kind)", f"max(kind || '{number}')"))
    note("dbt build -s leaf, v2", dbt(v2, "v2", "--select", "m299"))
    seconds, answer = report("dev")
    assert built(answer) == 1, answer
    note("one leaf, elt on v2", seconds)
    leaf.write_text(text.replace("max(kind)", f"max(kind || '{number} new')"))
    seconds, answer = report(f"pr_{number}", "--base", "dev")
    print(f"  {built(answer)} models built in the new environment")
    note("new environment from its base", seconds)
    note("plan, 300", elt("issue_9", "--explain")[0])
    note("plan, 3000", elt("issue_9", "--explain", models=3000)[0])
elt("dev", models=3000)
for _ in range(rounds):
    note("nothing changed, 3000", elt("dev", models=3000)[0])

print("\nmedians:")
for name, seconds in figures.items():
    print(f"  {name:32} {statistics.median(seconds):8.3f} s")


def ratio(above, below, plus=None):
    extra = figures[plus] if plus else [0] * len(figures[below])
    return statistics.median(a / (b + c) for a, b, c in zip(figures[above], figures[below], extra))


print("ratios within the rounds, medians:")
for name, value, goal in [
    ("nothing changed with cargo's time, faster than dbt build on v1", ratio("dbt build, v1", "nothing changed, 300", "cargo's own"), ">= 20"),
    ("nothing changed, 3,000 models against 300", ratio("nothing changed, 3000", "nothing changed, 300"), "<= 12"),
    ("plan of 3,000 models against 300", ratio("plan, 3000", "plan, 300"), "<= 12"),
    ("one leaf against dbt build -s leaf on v2", ratio("one leaf, elt on v2", "dbt build -s leaf, v2"), "<= 1.2"),
    ("one leaf, faster than dbt build on v2", ratio("dbt build, v2", "one leaf, elt on v2"), ">= 8"),
    ("new environment from its base, faster than dbt build on v2", ratio("dbt build, v2", "new environment from its base"), ">= 4"),
    ("new environment from its base, faster than dbt build on v1", ratio("dbt build, v1", "new environment from its base"), ">= 4"),
]:
    print(f"  {name}: {value:.2f} (goal: {goal})")
END
uptime
