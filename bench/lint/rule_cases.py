#!/usr/bin/env python3
"""Scores `xtask lint` on sqlfluff's own rule cases: does it report the rule where sqlfluff's tests say so?

    bench/lint/rule_cases.py SQLFLUFF_CHECKOUT [--xtask PATH] [--rule LT02] [--list]

Each case of test/fixtures/rules/std_rule_cases becomes a folder with the case's settings and its SQL; all are linted in
one run. A verdict is right if a case that passes has no finding of its rule and a case that fails has one. Needs PyYAML.
"""

import argparse
import collections
import json
import pathlib
import subprocess
import sys
import tempfile

import yaml


def flat(table, path=()):
    """Sections of an INI file: {("rules", "LT02"): {"key": "value"}}."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from flat(value, (*path, str(key)))
        else:
            yield path, str(key), value


def settings(code, configs):
    sections = collections.defaultdict(dict)
    for path, key, value in flat(configs or {}):
        section = () if path == ("core",) else path
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        sections[section][key] = text
    core = sections[()]
    core.setdefault("dialect", "ansi")
    core["rules"] = code
    lines = []
    for section in sorted(sections):
        lines.append("[" + ":".join(("sqlfluff", *section)) + "]")
        for key, value in sections[section].items():
            lines.append(f"{key} = " + value.strip("\n").replace("\n", "\n    "))
        lines.append("")
    return "\n".join(lines)


def merged(usual, own):
    """The settings of a case over those of its file."""
    if not (isinstance(usual, dict) and isinstance(own, dict)):
        return usual if own is None else own
    return {key: merged(usual.get(key), own.get(key)) for key in {**usual, **own}}


def cases(checkout, only):
    folder = checkout / "test/fixtures/rules/std_rule_cases"
    for file in sorted(folder.glob("*.yml")):
        content = yaml.safe_load(file.read_text())
        # A file for two rules is run with both; a finding of either counts.
        codes = content.pop("rule").replace(" ", "")
        configs = content.pop("configs", None) or {}
        if only and not set(codes.split(",")) & set(only):
            continue
        for name, case in content.items():
            if "ignored" not in case:
                yield codes, f"{file.stem}.{name}", {**case, "configs": merged(configs, case.get("configs"))}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=pathlib.Path)
    parser.add_argument("--xtask", default=str(pathlib.Path(__file__).parents[2] / "target/debug/xtask"))
    parser.add_argument("--rule", action="append")
    parser.add_argument("--list", action="store_true", help="name the cases with a wrong verdict")
    parser.add_argument("--keep", type=pathlib.Path, help="write the cases to this folder and leave them there")
    args = parser.parse_args()
    expected = {}
    with tempfile.TemporaryDirectory() as temporary:
        root = args.keep or pathlib.Path(temporary)
        root.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "init", "-q", str(root)], check=True)
        for code, name, case in cases(args.checkout, args.rule):
            sql = case.get("fail_str") or case.get("pass_str")
            if sql is None:
                continue
            place = root / name
            place.mkdir(exist_ok=True)
            (place / "case.sql").write_text(sql)
            (place / ".sqlfluff").write_text(settings(code, case.get("configs")))
            expected[place.name] = (code, "fail_str" in case)
        run = subprocess.run(
            [args.xtask, "lint", "--no-cache", "--only", "sql", "--format", "json"],
            cwd=root,
            capture_output=True,
            text=True,
        )
        if not run.stdout.startswith("{"):
            sys.exit(run.stderr)
        found = collections.defaultdict(set)
        unread = collections.defaultdict(set)
        for finding in json.loads(run.stdout)["findings"]:
            place = finding["path"].split("/")[0]
            unread[place].add(finding["message"]) if finding["rule"].startswith("sql-") else found[place].add(finding["rule"])
        for line in run.stderr.splitlines():
            if line.startswith("not fully checked: "):
                path, _, why = line.removeprefix("not fully checked: ").partition(": ")
                unread[path.split("/")[0]].add(why)
            elif "settings of " in line:
                unread[line.split("settings of ")[1].split(" ")[0]].add(line)
    per_rule = collections.defaultdict(lambda: [0, 0, 0])
    for place, (code, fails) in expected.items():
        right = bool(found[place]) == fails
        per_rule[code][0] += 1
        per_rule[code][1] += right
        per_rule[code][2] += not right and bool(unread[place])
        if args.list and not right:
            kind = "missed" if fails else "wrong"
            print(f"{place}: {kind}: {'; '.join(sorted(unread[place])) or '-'}")
    total = [sum(row[at] for row in per_rule.values()) for at in range(3)]
    for code, (count, right, blind) in sorted(per_rule.items(), key=lambda item: item[1][1] - item[1][0]):
        print(f"{code}  {right:4} of {count:4}" + (f"  ({blind} not read)" if blind else ""))
    print(f"all   {total[1]:4} of {total[0]:4}  {100 * total[1] / max(total[0], 1):.1f} %")


if __name__ == "__main__":
    main()
