#!/usr/bin/env python3
"""Writes the first inputs of the fuzz targets `secrets` and `rules`, from the rules' own examples.

    tests/fuzz/seeds.py    then: cargo +nightly fuzz run --fuzz-dir tests/fuzz secrets
"""
import pathlib, re

HERE = pathlib.Path(__file__).resolve().parent
RULES = (HERE.parent.parent / "policies" / "secrets.toml").read_text(encoding="utf-8")
PATHS = ["example.txt", "src/main.py", ".env", "config.yaml", "package-lock.json"]


def write(target, number, text):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"seed-{number:05}").write_text(text, encoding="utf-8")


tables = [table for table in re.split(r"(?m)^(?=\[\[)", RULES) if table.startswith("[[")]
for number, table in enumerate(tables):
    write("rules", number, table)
write("rules", len(tables), "[extend]\nuseDefault = true\ndisabledRules = ['a']\n[[allowlists]]\ncondition = 'AND'\ncommits = ['abc']\npaths = ['''^x''']\n")
examples = re.findall(r'"((?:[^"\\]|\\.)*<>(?:[^"\\]|\\.)*)"|\'([^\'\n]*<>[^\'\n]*)\'', RULES)
for number, (escaped, plain) in enumerate(examples):
    text = (escaped or plain).replace("<>", "").replace('\\"', '"').replace("\\n", "\n")
    write("secrets", number, f"{PATHS[number % len(PATHS)]}\n{text}\n")
