#!/usr/bin/env python3
"""Compare the workflow rules of `cargo xtask lint` with actionlint's examples and with zizmor.

    bench/lint/workflow_parity.py --actionlint CHECKOUT    a clone of rhysd/actionlint: testdata/err and testdata/ok
    bench/lint/workflow_parity.py --zizmor CHECKOUT        a clone of zizmorcore/zizmor: the data of its tests
    bench/lint/workflow_parity.py --clean FOLDER…          repositories: high findings in their workflows

An error file is noticed if a finding is on a line that actionlint reports. Rules that are advice rather than about
validity do not count as noticed, nor as wrong on ok files. zizmor (`pip install zizmor`) runs offline with its regular
persona; its finding is matched if one of ours is on the same line or inside the same lines.
"""

import argparse
import collections
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

ADVICE = {
    "foreign-step", "inherited-secrets", "missing-permissions", "missing-timeout", "persisted-credentials",
    "unpinned-action", "unpinned-image", "unpinned-tool", "wide-permissions", "template-expansion", "cache-poisoning",
    "dangerous-trigger", "anonymous-workflow", "overprovisioned-secrets", "manual-publishing-token", "archived-action",
    "superfluous-action", "missing-cooldown", "swallowed-failure", "missing-script", "shared-secret", "self-hosted-runner",
    "written-environment", "written-secret", "secrets-outside-environment", "adhoc-package", "broad-app-token",
}


def ours(program: str, root: pathlib.Path) -> dict[str, list[dict]]:
    run = subprocess.run(
        [program, "lint", "--only", "workflow", "--only", "yaml", "--no-cache", "--format", "json"],
        cwd=root, capture_output=True, text=True, check=False,
    )
    if run.returncode not in (0, 1):
        raise SystemExit(run.stderr)
    found = collections.defaultdict(list)
    for finding in json.loads(run.stdout)["findings"]:
        found[finding["path"]].append(finding)
    return found


def actionlint(program: str, checkout: pathlib.Path, show: bool) -> None:
    data = checkout / "testdata"
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        subprocess.run(["git", "init", "-q", folder], check=True)
        workflows = root / ".github/workflows"
        workflows.mkdir(parents=True)
        sets = {kind: sorted((data / kind).glob("*.yaml")) for kind in ("err", "ok", "examples")}
        for kind, paths in sets.items():
            for path in paths:
                shutil.copy(path, workflows / f"{kind}-{path.name}")
        found = ours(program, root)

    def of(kind, path):
        return found.get(f".github/workflows/{kind}-{path.name}", [])

    for kind in ("err", "examples"):
        noticed = lines = hit = 0
        for path in sets[kind]:
            expected = {int(m) for m in re.findall(r"^[^:\n]+:(\d+):\d+: ", path.with_suffix(".out").read_text(), re.M)}
            expected |= {int(m) for m in re.findall(r"\.yaml:(\d+):\d+", path.with_suffix(".out").read_text())}
            expected |= {int(m) for m in re.findall(r"^/[^/]+yaml:(\d+):", path.with_suffix(".out").read_text(), re.M)}
            got = {f["line"] for f in of(kind, path) if f["rule"] not in ADVICE}
            # Line 0 is the file as a whole.
            got |= {0} if got else set()
            lines += len(expected)
            hit += len(expected & got)
            if expected & got:
                noticed += 1
            if show and not expected <= got:
                texts = path.with_suffix(".out").read_text().splitlines()
                state = "partly" if expected & got else "MISSED"
                print(f"{state} {kind}/{path.name} lines {sorted(expected - got)}")
                for text in texts:
                    if any(f":{line}:" in text for line in expected - got):
                        print("      ", text[:230])
        print(f"actionlint {kind}: {noticed} of {len(sets[kind])} files noticed; {hit} of {lines} lines")
    wrong = 0
    for path in sets["ok"]:
        bad = [f for f in of("ok", path) if f["rule"] not in ADVICE or f["severity"] == "high"]
        wrong += bool(bad)
        for finding in bad if show else []:
            print(f"WRONG ok/{path.name}:{finding['line']} {finding['rule']}: {finding['message']}")
    print(f"actionlint ok: {wrong} of {len(sets['ok'])} files with a wrong finding")


def zizmor(program: str, checkout: pathlib.Path, show: bool) -> None:
    data = checkout / "crates/zizmor/tests/integration/test-data"
    found_by, all_by, missed = collections.Counter(), collections.Counter(), []
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        subprocess.run(["git", "init", "-q", folder], check=True)
        (root / ".github/workflows").mkdir(parents=True)
        names = {}
        for number, path in enumerate(sorted(data.rglob("*.y*ml"))):
            if "invalid" in path.parts or "config" in path.name or path.stat().st_size > 300_000:
                continue
            if path.stem == "action":
                target = f".github/actions/a{number}/action.yml"
            elif path.stem == "dependabot":
                continue
            else:
                target = f".github/workflows/w{number}.yml"
            (root / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, root / target)
            names[target] = str(path.relative_to(data))
        run = subprocess.run(
            ["zizmor", "--offline", "--no-config", "--format", "json-v1", "--no-exit-codes", "."],
            cwd=root, capture_output=True, text=True, check=False,
        )
        theirs = json.loads(run.stdout)
        found = ours(program, root)
    lines = {path: {line for f in fs for line in range(f["line"], f["end_line"] + 1)} for path, fs in found.items()}
    for finding in theirs:
        if finding.get("ignored"):
            continue
        primary = [place for place in finding["locations"] if place["symbolic"]["kind"] == "Primary"]
        hit = False
        for place in primary:
            path = place["symbolic"]["key"]["Local"]["verbatim_path"].removeprefix("./")
            start, end = (place["concrete"]["location"][key]["row"] + 1 for key in ("start_point", "end_point"))
            hit = hit or bool(set(range(start, end + 1)) & lines.get(path, set()))
        all_by[finding["ident"]] += 1
        found_by[finding["ident"]] += hit
        if not hit:
            missed.append((finding["ident"], names.get(path, path), start, primary[0]["symbolic"]["annotation"]))
    if show:
        for each in sorted(missed):
            print("missed", *each)
    for rule in sorted(all_by):
        print(f"  {rule:36} {found_by[rule]:4} of {all_by[rule]:4}")
    total, hits = sum(all_by.values()), sum(found_by.values())
    print(f"zizmor: {hits} of {total} findings ({100 * hits / max(1, total):.1f} %)")


def clean(program: str, folders: list[pathlib.Path]) -> None:
    counts = collections.Counter()
    files = 0
    for source in folders:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder) / "r"
            shutil.copytree(source, root, symlinks=True)
            subprocess.run(["git", "init", "-q", str(root)], check=True)
            files += len(list((root / ".github/workflows").glob("*.y*ml")))
            for path, findings in ours(program, root).items():
                for finding in findings:
                    if finding["group"] != "workflow":
                        continue
                    counts[finding["severity"], finding["rule"]] += 1
                    if finding["severity"] == "high":
                        print(f"{source.name}/{path}:{finding['line']} {finding['rule']}: {finding['message']}")
    print(f"{files} workflows of {len(folders)} repositories")
    for (severity, rule), count in sorted(counts.items()):
        print(f"  {severity:7} {rule:32} {count}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--actionlint", type=pathlib.Path)
    parser.add_argument("--zizmor", type=pathlib.Path)
    parser.add_argument("--clean", type=pathlib.Path, nargs="*", default=[])
    parser.add_argument("--program", default="target/debug/xtask")
    parser.add_argument("--show", action="store_true", help="print what differs")
    args = parser.parse_args()
    program = os.path.abspath(args.program)
    if args.actionlint:
        actionlint(program, args.actionlint, args.show)
    if args.zizmor:
        zizmor(program, args.zizmor, args.show)
    if args.clean:
        clean(program, args.clean)


if __name__ == "__main__":
    main()
