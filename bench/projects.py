#!/usr/bin/env python3
"""Takes dbt projects through the life of an environment, and compares each with what plain `dbt build` makes of it.

    bench/projects.py [--packages FOLDER] PROJECT…

PROJECT is a folder with a dbt_project.yml; the repository around it (else the folder alone) is copied first, so
nothing in it changes. For each: doctor, lint, plain `dbt build`, elt, elt again, an edited comment, an edited query, a new
environment from the first, metrics, the page, and the drop of both. One row of a Markdown table each; what differs from the
expected is printed below.

    models   models, seeds and snapshots of the project, and tests
    doctor   exit code: 0, or 1 if something is to be done
    lint     exit code: 0, or 1 with findings
    results  nodes and tests with the same result as in plain dbt
    relations
             those that are equal in rows and types; relations that differ between two plain builds are left out
    again, comment, edit, copy
             nodes that were built: none is right for the first two
    drop     `clean` if nothing is left of the environments, and nothing was written elsewhere

Needs the built program (XTASK, by default target/debug/xtask) and the Python environment of dbt v1 (XTASK_VENV, by default
.venv). `--packages` names a folder of dbt packages that replace those of the same name of packages.yml: a machine that reaches
no package hub can still build such projects.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
XTASK = os.environ.get("XTASK", str(HERE / "target/debug/xtask"))
VENV = Path(os.environ.get("XTASK_VENV", HERE / ".venv"))
OWN = {"ledger_environment", "ledger_nodes", "ledger_queries", "ledger_relations", "ledger_runs", "ledger_state"}
BUILT = {"model", "seed", "snapshot", "test", "unit_test"}
LEFT_OUT = {".git", ".xtask", "target", "logs", "dbt_packages", "package-lock.yml", "dbt_modules", ".user.yml"}


class Project:
    def __init__(self, source: Path, work: Path, packages: Path | None):
        repository = next((folder for folder in [source, *source.parents] if (folder / ".git").exists()), source)
        self.root = work / repository.name
        ignored = shutil.ignore_patterns(*LEFT_OUT)
        shutil.copytree(repository, self.root, symlinks=True, ignore=ignored)
        subprocess.run(["git", "init", "--quiet", self.root], check=True)
        self.folder = self.root / source.relative_to(repository)
        self.name = source.name if source == repository else f"{repository.name}/{source.relative_to(repository)}"
        self.work = work
        if packages:
            self.replace_packages(packages)

    def replace_packages(self, packages: Path):
        local = {path.parent.name.replace("-", "_"): path.parent for path in packages.glob("*/dbt_project.yml")}
        python = f"""
import json, sys, yaml
local = json.loads(sys.argv[1])
for path in sys.argv[2:]:
    data = yaml.safe_load(open(path)) or {{}}
    def replaced(each):
        name = str(each.get("package") or each.get("git") or "").removesuffix(".git").split("/")[-1].replace("-", "_")
        found = local.get(name) or local.get("dbt_" + name) or local.get(name.removeprefix("dbt_"))
        return {{"local": found}} if found else each
    if data.get("packages"):
        data["packages"] = [replaced(each) for each in data["packages"]]
        open(path, "w").write(yaml.safe_dump(data))
"""
        files = [path for name in ("packages.yml", "dependencies.yml") for path in self.root.rglob(name)]
        names = json.dumps({name: str(path.resolve()) for name, path in local.items()})
        subprocess.run([VENV / "bin/python", "-c", python, names, *files], check=True)

    def run(self, *arguments: str) -> subprocess.CompletedProcess:
        environment = {**os.environ, "XTASK_VENV": str(VENV), "CI": "true"}
        return subprocess.run([XTASK, *arguments], cwd=self.folder, env=environment, capture_output=True, text=True, timeout=3600)

    def elt(self, schema: str, *more: str) -> dict:
        done = self.run("elt", "--schema", schema, "--format", "json", *more)
        try:
            return json.loads(done.stdout)
        except json.JSONDecodeError:
            raise Failed(f"elt exited {done.returncode}", done.stderr) from None

    def plain(self, attempt: str) -> tuple[Path, dict[str, str]]:
        """`dbt build` with a profile made for it: the database, and the result of each node that dbt builds or tests."""
        outside = self.work / attempt
        (outside / "files").mkdir(parents=True)
        # Some projects write the database's name into their tables.
        database = outside / "issue_1.duckdb"
        text = (self.folder / "dbt_project.yml").read_text()
        profile = next(line.split(":", 1)[1] for line in text.splitlines() if line.startswith("profile:"))
        profile = profile.split("#")[0].strip().strip("\"'")
        output = {"type": "duckdb", "path": str(database), "schema": "main", "threads": 2, "external_root": str(outside / "files")}
        (outside / "profiles.yml").write_text(json.dumps({profile: {"target": "local", "outputs": {"local": output}}}))
        dbt = [str(VENV / "bin/dbt"), "--no-send-anonymous-usage-stats"]
        for step in ("deps", "build"):
            if step == "deps" and not any((self.folder / name).exists() for name in ("packages.yml", "dependencies.yml")):
                continue
            flags = ["--profiles-dir", str(outside), "--log-path", str(outside)]
            flags += ["--target-path", str(outside / "target")] if step == "build" else []
            done = subprocess.run([*dbt, step, *flags], cwd=self.folder, capture_output=True, text=True, timeout=3600)
            if done.returncode > 1 or (step == "deps" and done.returncode):
                raise Failed(f"plain dbt {step} exited {done.returncode}", done.stdout)
        results = json.loads((outside / "target/run_results.json").read_text())["results"]
        results = [each for each in results if each["unique_id"].split(".")[0] in BUILT]
        return database, {each["unique_id"]: each["status"] for each in results}

    def database(self, schema: str) -> Path:
        return next((self.root / ".xtask").rglob(f"{schema}.duckdb"))

    def listing(self) -> list[Path]:
        found = []
        for folder, folders, files in os.walk(self.root):
            folders[:] = [name for name in folders if name not in LEFT_OUT]
            found += [Path(folder) / name for name in files if name not in LEFT_OUT]
        return sorted(found)

    def edited(self, change) -> None:
        """Change the query of a model that others need."""
        models = [path for path in sorted(self.folder.rglob("*.sql")) if "models" in path.parts and not LEFT_OUT & set(path.parts)]
        path = models[0]
        path.write_text(change(path.read_text()))


class Failed(Exception):
    pass


CONTENTS = """
import duckdb, hashlib, json, sys
own = set(json.loads(sys.argv[2]))
session = duckdb.connect(sys.argv[1], read_only=True)
session.execute("set timezone = 'UTC'")
tables = session.execute(
    "select table_schema, table_name, table_type from information_schema.tables where table_catalog = current_database()"
).fetchall()
found = {}
for schema, name, kind in tables:
    if name in own:
        continue
    try:
        types = session.execute(f'describe "{schema}"."{name}"').fetchall()
        rows = session.execute(f'select * from "{schema}"."{name}" order by all').fetchall()
        found[f"{schema}.{name} {kind}"] = [len(rows), hashlib.sha256(repr((types, rows)).encode()).hexdigest()]
    except duckdb.Error as error:
        found[f"{schema}.{name} {kind}"] = [0, str(error)[:60]]
print(json.dumps(found))
"""


def contents(database: Path) -> dict:
    done = subprocess.run(
        [VENV / "bin/python", "-c", CONTENTS, database, json.dumps(sorted(OWN))], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def built(report: dict) -> int:
    if not report["dbt_started"]:
        return 0
    return sum(node["kind"] != "test" and node["status"] == "success" for node in report["nodes"])


def live(project: Project) -> tuple[list[str], list[str]]:
    wrong = []
    before = project.listing()
    doctor, lint = project.run("doctor"), project.run("lint")
    wrong += [f"doctor exited {doctor.returncode}\n{doctor.stderr[-800:]}"] * (doctor.returncode > 1)
    wrong += [f"lint exited {lint.returncode}\n{lint.stderr[-800:]}"] * (lint.returncode > 1)
    database, plain = project.plain("plain")
    report = project.elt("issue_1")
    ours = {node["id"]: node["status"] for node in report["nodes"] if node["status"] != "reused"}
    good = {"success", "pass"}
    failing = {node for node, status in plain.items() if status not in good}
    differ = [f"{node}: {status}, plain dbt {plain.get(node)}" for node, status in ours.items() if (status in good) != (plain.get(node) in good)]
    missing = [node for node in plain if node not in ours]
    theirs, mine = contents(database), contents(project.database("issue_1"))
    unequal = sorted(name for name in {*theirs, *mine} if theirs.get(name) != mine.get(name))
    if unequal:
        # Random values and times of building differ between any two builds.
        other = contents(project.plain("other")[0])
        theirs = {name: value for name, value in theirs.items() if other.get(name) == value}
        unequal = [name for name in unequal if name in theirs or name not in other]
    wrong += [f"result: {each}" for each in differ + missing] + [f"relation: {each}: {theirs.get(each)} {mine.get(each)}" for each in unequal]
    again = built(project.elt("issue_1"))
    project.edited(lambda text: f"{text}\n-- edited\n")
    comment = built(project.elt("issue_1"))
    project.edited(lambda text: f"select * from (\n{text.rstrip().rstrip(';')}\n) as edited\n")
    edit = built(project.elt("issue_1"))
    copy = built(project.elt("issue_2", "--base", "issue_1"))
    wrong += [f"{what}: {count} nodes were built" for what, count in (("again", again), ("comment", comment)) if count]
    page = project.work / "page.html"
    for arguments in (["metrics", "--format", "json"], ["metrics", "--format", "html", "--output", str(page)]):
        done = project.run(*arguments)
        wrong += [f"{' '.join(arguments[:3])} exited {done.returncode}\n{done.stderr[-800:]}"] * (done.returncode != 0)
    for schema in ("issue_1", "issue_2"):
        project.run("schema", "drop", "--schema", schema)
    left = [str(path) for path in (project.root / ".xtask").rglob("issue_*.duckdb")]
    elsewhere = sorted(str(path) for path in {*before} ^ {*project.listing()})
    wrong += [f"left: {each}" for each in left] + [f"written elsewhere: {each}" for each in elsewhere]
    counts = [sum(node.startswith(kind) for node in plain) for kind in ("model.", "seed.", "snapshot.")]
    row = [f"{sum(counts)} + {len(plain) - sum(counts)}", doctor.returncode, lint.returncode]
    row += [f"{len(plain) - len(differ) - len(missing)} of {len(plain)}" + (f" ({len(failing)} fail)" if failing else "")]
    row += [f"{len(theirs) - len([each for each in unequal if each in theirs])} of {len(theirs)}"]
    row += [again, comment, edit, copy, "clean" if not left and not elsewhere else "**not clean**"]
    return [str(each) for each in row], wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=Path, metavar="FOLDER")
    parser.add_argument("projects", nargs="+", metavar="PROJECT")
    given = parser.parse_args()
    if not Path(XTASK).exists():
        parser.error(f"there is no {XTASK}; build it with `cargo build --package xtask`, or set XTASK")
    print("| project | nodes + tests | doctor | lint | results | relations | again | comment | edit | copy | drop |")
    print("| --- |" + " --- |" * 10, flush=True)
    problems = []
    for source in given.projects:
        with tempfile.TemporaryDirectory() as work:
            try:
                project = Project(Path(source).resolve(), Path(work), given.packages)
                row, wrong = live(project)
                print(f"| {project.name} | {' | '.join(row)} |", flush=True)
            except (Failed, subprocess.TimeoutExpired) as failed:
                row, wrong = [], ["\n".join(str(each) for each in failed.args)[-3000:]]
                print(f"| {Path(source).name} | {failed.args[0]} |" + " |" * 9, flush=True)
            problems += [f"{Path(source).name}: {each}" for each in wrong]
    print("\n" + "\n".join(problems) if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
