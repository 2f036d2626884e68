#!/usr/bin/env python3
"""Scores scanners on labelled snippets: recall on secrets, false positives on clean ones.

    bench/secrets/score.py FILE.jsonl [--xtask target/release/xtask] [--gitleaks BIN] [--kingfisher BIN]

Each line of FILE is an object with `text`, `label` (`secret` or `clean`), and optionally `source`,
`rule`, `disputed` and `path` (the name of its file). Every snippet becomes one file in a separate folder, so that no
scanner profits from its neighbours; a snippet counts as found when a scanner reports anything in its file.
With --severity it also counts how many of the findings of each severity are of snippets with a secret.
"""
import argparse, collections, json, os, subprocess, tempfile, zlib


def xtask(binary, folder, config=None):
    more = ["--config", config] if config else []
    run = subprocess.run([binary, "secrets", folder, "--format", "json", *more], capture_output=True, text=True, check=False)
    if run.returncode not in (0, 1):
        raise SystemExit(run.stderr)
    for finding in json.loads(run.stdout)["findings"]:
        yield finding["path"], f'{finding["severity"]} {finding["rule"]}'


def gitleaks(binary, folder):
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        subprocess.run([binary, "dir", folder, "-f", "json", "-r", out.name, "--exit-code", "0"], capture_output=True, check=True)
        for finding in json.load(open(out.name, encoding="utf-8")):
            yield finding["File"], finding["RuleID"]


def kingfisher(binary, folder):
    run = subprocess.run([binary, "scan", folder, "--format", "json", "--no-validate", "--no-update-check"], capture_output=True, text=True, check=False)
    for line in run.stdout.splitlines():
        if line.startswith("{"):
            found = json.loads(line).get("findings")
            for finding in found if isinstance(found, list) else []:
                yield finding["finding"]["path"], finding["rule"]["id"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--xtask", default="target/debug/xtask")
    parser.add_argument("--config", help="rules for xtask, to see what it finds with fewer")
    parser.add_argument("--gitleaks")
    parser.add_argument("--kingfisher")
    parser.add_argument("--show", choices=["missed", "false"], help="print these snippets")
    parser.add_argument("--severity", action="store_true", help="precision of xtask by severity")
    parser.add_argument("--half", type=int, choices=[0, 1], help="only providers of this half, split by name")
    args = parser.parse_args()
    rows = [json.loads(line) for line in open(args.file, encoding="utf-8")]
    if args.half is not None:
        rows = [row for row in rows if zlib.crc32(row.get("rule", "").lower()[:4].encode()) % 2 == args.half]
    with tempfile.TemporaryDirectory() as folder:
        for at, row in enumerate(rows):
            os.mkdir(os.path.join(folder, f"{at:05}"))
            with open(os.path.join(folder, f"{at:05}", row.get("path", "text.txt")), "w", encoding="utf-8") as file:
                file.write(row["text"])
        tools = [("xtask", lambda binary, where: xtask(binary, where, args.config), args.xtask), ("gitleaks", gitleaks, args.gitleaks), ("kingfisher", kingfisher, args.kingfisher)]
        for name, scan, binary in tools:
            if not binary:
                continue
            found = collections.defaultdict(set)
            for path, rule in scan(binary, folder):
                found[int(os.path.basename(os.path.dirname(path)))].add(rule)
            report(name, rows, found, args.show if name == "xtask" else None)
            if args.severity and name == "xtask":
                by_severity(rows, found)


def by_severity(rows, found):
    levels = ["critical", "high", "medium", "low"]
    count = collections.Counter()
    for at, rules in found.items():
        highest = min((rule.split()[0] for rule in rules), key=levels.index)
        count[highest, rows[at]["label"] == "secret"] += 1
    for level in levels:
        hit, total = count[level, True], count[level, True] + count[level, False]
        if total:
            print(f"precision  {level:24} {hit:5} of {total:5} = {100 * hit / total:5.1f} %")


def report(name, rows, found, show):
    count = collections.Counter()
    for at, row in enumerate(rows):
        kinds = [row["label"], row["label"] + " " + row.get("source", "")]
        if row["label"] == "clean" and not row.get("disputed"):
            kinds.append("clean, undisputed")
        for kind in kinds:
            count[kind, at in found] += 1
        if show == ("missed" if row["label"] == "secret" else "false") and (at in found) != (row["label"] == "secret"):
            print("--", row.get("source"), row.get("rule"), sorted(found.get(at, [])), repr(row["text"][-300:]))
    for kind in sorted({kind for kind, _ in count}):
        hit, total = count[kind, True], count[kind, True] + count[kind, False]
        print(f"{name:10} {kind:24} {hit:5} of {total:5} = {100 * hit / total:5.1f} %")


main()
