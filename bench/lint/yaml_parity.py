#!/usr/bin/env python3
"""Compare the YAML rules of `cargo xtask lint` with yamllint, finding by finding.

    bench/lint/yaml_parity.py --suite CHECKOUT     every check of yamllint's own tests (a clone of adrienverge/yamllint)
    bench/lint/yaml_parity.py --files FOLDER…      all YAML files of the folders, under several configurations

Needs yamllint (`pip install yamllint`) and a built `target/debug/xtask`. A verdict is the set of (line, column, rule)
of one text under one configuration; it is the same only if both report exactly these. Duplicate keys are always
reported by this toolkit, so they count only if the configuration has them on.
"""

import argparse
import collections
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import yaml
from yamllint import linter
from yamllint.config import YamlLintConfig

CONFIGURATIONS = {
    "default": "extends: default\n",
    "relaxed": "extends: relaxed\n",
    "strict": """\
extends: default
rules:
  anchors: {forbid-unused-anchors: true}
  braces: {min-spaces-inside: 1, max-spaces-inside: 1}
  comments: {min-spaces-from-content: 1}
  document-end: {present: true}
  empty-lines: {max: 1}
  empty-values: enable
  float-values: {require-numeral-before-decimal: true, forbid-scientific-notation: true}
  indentation: {spaces: 2, indent-sequences: false, check-multi-line-strings: true}
  key-ordering: enable
  line-length: {max: 100, allow-non-breakable-inline-mappings: true}
  octal-values: enable
  quoted-strings: {quote-type: double, required: only-when-needed}
  truthy: {check-keys: false}
""",
    "quotes": """\
rules:
  quoted-strings: {quote-type: single, required: true, check-keys: true}
  indentation: {spaces: consistent, indent-sequences: whatever}
  braces: {forbid: non-empty}
  brackets: {forbid: true}
""",
}


def suite(checkout: pathlib.Path) -> list[tuple[str, str, str]]:
    """Name, configuration and text of every check of yamllint's own tests."""
    os.chdir(checkout)
    sys.path.insert(0, str(checkout))
    from tests import common  # noqa: PLC0415

    found: list[tuple[str, str, str]] = []

    def check(self, source, conf, **_):
        if isinstance(source, bytes):
            return
        rules = yaml.safe_load(conf) if conf else {}
        config = yaml.safe_dump({"extends": "default", "rules": rules})
        YamlLintConfig(config)  # Tests of settings that yamllint refuses expect this error.
        found.append((f"{self.id().removeprefix('tests.')}#{len(found)}", config, source))

    common.RuleTestCase.check = check
    tests = unittest.defaultTestLoader.discover("tests", top_level_dir=".")

    def checks(tests):
        for test in tests:
            if isinstance(test, unittest.TestSuite):
                yield from checks(test)
            elif isinstance(test, common.RuleTestCase):
                yield test

    with open(os.devnull, "w", encoding="utf-8") as silent:
        unittest.TextTestRunner(stream=silent).run(unittest.TestSuite(checks(tests)))
    return found


def files(folders: list[pathlib.Path]) -> list[tuple[str, str, str]]:
    found = []
    for folder in folders:
        for path in sorted(p for p in folder.rglob("*") if p.suffix in (".yml", ".yaml") and p.is_file()):
            text = path.read_bytes()
            if len(text) > 200_000:
                continue
            try:
                text = text.decode()
            except UnicodeDecodeError:
                continue
            for name, config in CONFIGURATIONS.items():
                found.append((f"{path}@{name}", config, text))
    return found


def theirs(config: str, text: str) -> set[tuple[int, int, str]] | None:
    """None if yamllint itself fails on the text, as it does on characters that YAML forbids."""
    try:
        problems = list(linter.run(text, YamlLintConfig(config)))
    except yaml.YAMLError:
        return None
    return {(p.line, p.column, p.rule or "yaml-syntax") for p in problems}


def ours(program: str, config: str, texts: list[str]) -> list[set[tuple[int, int, str]]]:
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        subprocess.run(["git", "init", "-q", folder], check=True)
        (root / ".yamllint.yml").write_text(config)
        for number, text in enumerate(texts):
            (root / f"c{number}.yml").write_bytes(text.encode())
        run = subprocess.run(
            [program, "lint", "--only", "yaml", "--no-cache", "--format", "json"],
            cwd=root, capture_output=True, text=True, check=False,
        )
        if run.returncode not in (0, 1):
            sys.exit(f"{run.stderr}\n{config}")
        has_duplicates = YamlLintConfig(config).rules.get("key-duplicates", False) is not False
        found = [set() for _ in texts]
        for finding in json.loads(run.stdout)["findings"]:
            name = finding["path"]
            if name.startswith(".") or (finding["rule"] == "key-duplicates" and not has_duplicates):
                continue
            found[int(name[1:-4])].add((finding["line"], finding["column"], finding["rule"]))
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", type=pathlib.Path)
    parser.add_argument("--files", type=pathlib.Path, nargs="*", default=[])
    parser.add_argument("--program", default="target/debug/xtask")
    parser.add_argument("--show", type=int, default=0, help="print this many differing cases")
    parser.add_argument("--rule", default="", help="show only cases that differ in this rule")
    args = parser.parse_args()
    program = os.path.abspath(args.program)
    folders = [folder.resolve() for folder in args.files]
    cases = (suite(args.suite.resolve()) if args.suite else []) + files(folders)
    by_config = collections.defaultdict(list)
    for case in cases:
        by_config[case[1]].append(case)
    same, differing, missed, extra, shared = 0, [], collections.Counter(), collections.Counter(), 0
    for config, members in by_config.items():
        for (name, _, text), our in zip(members, ours(program, config, [text for *_, text in members])):
            their = theirs(config, text)
            if their is None:
                cases.remove((name, config, text))
                continue
            shared += len(our & their)
            missed.update(rule for *_, rule in their - our)
            extra.update(rule for *_, rule in our - their)
            if our == their:
                same += 1
            else:
                differing.append((name, config, text, sorted(their - our), sorted(our - their)))
    for name, config, text, lost, more in differing:
        if args.show > 0 and (not args.rule or args.rule in {rule for *_, rule in lost + more}):
            args.show -= 1
            print(f"== {name}\n{config}-- text\n{text[:3000]}")
            print(f"-- only yamllint: {lost[:10]}\n-- only xtask: {more[:10]}\n")
    print(f"verdicts: {same} of {len(cases)} the same ({100 * same / max(1, len(cases)):.1f} %)")
    total = shared + sum(missed.values())
    print(f"findings: {shared} of yamllint's {total} ({100 * shared / max(1, total):.1f} %), {sum(extra.values())} others")
    for rule in sorted(missed | extra):
        print(f"  {rule:28} missed {missed[rule]:5}  other {extra[rule]:5}")


if __name__ == "__main__":
    main()
