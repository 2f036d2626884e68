#!/usr/bin/env python3
"""Compare what `elt --explain` would build after an edit with `dbt ls --select state:modified` and with the compiled SQL.

    python3 bench/state/foreign.py WORK PROJECT...

Each PROJECT is a folder with a dbt project that builds on DuckDB; it is copied to WORK, built once, and edited in every way that it
allows. Packages that are not in `dbt_packages` are taken from WORK/packages/NAME, so that nothing is downloaded. Tables that its
sources need are made by WORK/NAME.sql, if that exists. XTASK_VENV is an environment with dbt v1.

A node that only dbt finds must have the same compiled SQL as before, and every node whose compiled SQL differs must be found by us.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
XTASK = pathlib.Path(os.environ.get("XTASK", ROOT / "target/debug/xtask"))
work = pathlib.Path(sys.argv[1]).resolve()
DBT = pathlib.Path(os.environ["XTASK_VENV"]) / "bin/dbt"
KINDS = ["model", "seed", "snapshot", "test"]


def run(words, where, **more):
    return subprocess.run([str(word) for word in words], cwd=where, env={**os.environ, "CI": "true", **more},
                          capture_output=True, text=True)


def without_hash(unique_id):
    """As elt names it: generic tests have a hash at the end."""
    return re.sub(r"\.[0-9a-f]{10}$", "", unique_id)


class Project:
    def __init__(self, source):
        self.name = source.name
        self.root = work / "copies" / self.name
        self.dbt = self.root / "dbt"
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(source, self.dbt, ignore=shutil.ignore_patterns(".git", "target", "*.duckdb", "images"))
        run(["git", "init", "--quiet"], self.root)
        shutil.copytree(ROOT / "dbt/requirements", self.dbt / "requirements")
        self.file = self.root / "data.duckdb"
        self.link_packages()
        setup = work / f"{self.name}.sql"
        if setup.exists():
            cli = DBT.parent / "duckdb"
            made = run([cli, self.file, "-init", "/dev/null", "-f", setup], work)
            assert made.returncode == 0, made.stderr
        settings = (self.dbt / "dbt_project.yml").read_text()
        self.profile = re.search(r"^profile: *['\"]?([\w-]+)", settings, re.M)[1]
        self.package = re.search(r"^name: *['\"]?([\w-]+)", settings, re.M)[1]
        target = {"type": "duckdb", "path": str(self.root / "dbt.duckdb"), "schema": "base", "threads": 2}
        (self.root / "plain").mkdir()
        profiles = {self.profile: {"target": "local", "outputs": {"local": target}}}
        (self.root / "plain/profiles.yml").write_text(json.dumps(profiles))

    def link_packages(self):
        path = self.dbt / "packages.yml"
        if not path.exists():
            return
        names = re.findall(r"(?:package: *[\w-]+/|dbt-labs/)([\w-]+)", path.read_text())
        found = [name.replace("-", "_") for name in names]
        found = [name for name in found if (work / "packages" / name).is_dir()]
        (self.dbt / "package-lock.yml").unlink(missing_ok=True)
        path.write_text("packages:\n" + "".join(f"  - local: {work}/packages/{name}\n" for name in found))

    def elt(self, *more):
        # Of one file for all environments, which the sources are in.
        return run([XTASK, "--quiet", "elt", "--schema", "base", *more], self.root, DBT_DUCKDB_PATH=str(self.file),
                   XTASK_DBT_ENGINE="v1")

    def due(self, *more):
        ended = self.elt("--explain", "--format", "json", *more)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        nodes = json.loads(ended.stdout)["nodes"]
        return {node["id"]: node for node in nodes if node["action"] == "build" and node["kind"] in KINDS}

    def compiled(self, target, *more):
        ended = run([DBT, "-q", "--no-partial-parse", "compile", "--profiles-dir", "../plain", "--target-path", target, *more], self.dbt)
        if ended.returncode:
            return None
        nodes = json.loads((self.dbt / target / "manifest.json").read_text())["nodes"]
        return {without_hash(key): node.get("compiled_code") for key, node in nodes.items() if node["resource_type"] in KINDS}

    def modified(self, *more):
        ended = run([DBT, "-q", "ls", "--select", "state:modified", "--state", "../state", "--output", "json", "--output-keys", "unique_id",
                     "--profiles-dir", "../plain", "--target-path", "target/after", *more], self.dbt)
        assert ended.returncode in (0, 1, 2), ended.stdout + ended.stderr
        found = re.findall(r'"unique_id": "([^"]+)"', ended.stdout)
        return {without_hash(each) for each in found if each.split(".")[0] in KINDS}


def edits(project):
    """Name, what it does to the files, and options."""
    files = sorted((project.dbt / "models").rglob("*.sql"))
    models = [path for path in files if "ref(" in path.read_text() or "source(" in path.read_text()]
    read = "\n".join(path.read_text() for path in files)
    models.sort(key=lambda path: -len(re.findall(rf"ref\(['\"]{path.stem}['\"]\)", read)))
    first, last = models[0], models[-1]
    settings = project.dbt / "dbt_project.yml"
    text_of = lambda path: path.read_text()
    change = lambda path, text: (lambda: path.write_text(text))
    yield "SQL comment in all models", lambda: [path.write_text("-- a note\n" + text_of(path)) for path in files]
    yield "Jinja comment and blank lines in all models", lambda: [path.write_text("{# a note #}\n\n" + text_of(path)) for path in files]
    yield "CRLF in all models", lambda: [path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n")) for path in files]
    for name, path in (("most read model", first), ("leaf", last)):
        yield f"a column more in the {name}", change(path, re.sub(r"\bselect\b", "select 1 as one_more,", text_of(path), count=1, flags=re.I))
    yield "a model moved", lambda: ((project.dbt / "models/moved").mkdir(), last.rename(project.dbt / "models/moved" / last.name))
    yield "a model more", change(project.dbt / "models/one_more.sql", f"select * from {{{{ ref('{first.stem}') }}}}\n")
    add = lambda kind, line: change(settings, re.sub(rf"^{kind}:\n", "", text_of(settings), flags=re.M) + f"\n{kind}:\n  {line}\n"
                                    if not re.search(rf"^{kind}:\n", text_of(settings), re.M)
                                    else re.sub(rf"^{kind}:\n", f"{kind}:\n  {line}\n", text_of(settings), count=1, flags=re.M))
    yield "+tags on all models", add("models", "+tags: [one]")
    yield "+meta on all models", add("models", "+meta: {owner: one}")
    yield "+materialized: table", add("models", "+materialized: table")
    yield "+post-hook on all models", add("models", '+post-hook: "select 1"')
    for path in sorted((project.dbt / "models").rglob("*.y*ml")):
        if "description:" in text_of(path):
            yield "a description", change(path, re.sub(r"description: *(?=[\w\"'])", "description: Now ", text_of(path), count=1))
            break
    for path in sorted((project.dbt / "models").rglob("*.y*ml")):
        if re.search(r"- not_null$", text_of(path), re.M):
            yield "a severity", change(path, re.sub(r"- not_null$", "- not_null: {config: {severity: warn}}", text_of(path), count=1, flags=re.M))
            break
    for path in sorted((project.dbt / "models").rglob("*.y*ml")):
        if re.search(r"^sources:", text_of(path), re.M):
            yield "the schema of a source", change(path, re.sub(r"(schema: *['\"]?\w+)", r"\1_2", text_of(path), count=1))
            break
    seeds = [path for path in sorted(project.dbt.rglob("*.csv")) if "dbt_packages" not in str(path)]
    if seeds:
        yield "a cell of a seed", change(seeds[0], text_of(seeds[0]).rstrip("\n") + "1\n")
    own = sorted((project.dbt / "macros").rglob("*.sql")) if (project.dbt / "macros").is_dir() else []
    packages = sorted((work / "packages").rglob("macros/**/*.sql"))
    reached = [path for path in packages if path.stem in ("surrogate_key", "generate_surrogate_key", "expression_is_true", "date_spine")]
    for path in own + [path for path in reached if "dbt_utils" in str(path) and (project.dbt / "packages.yml").exists()]:
        body = re.compile(r"(\{%-? *(?:macro|test) [^%]*%\})(.*?)(\{%-? *end(?:macro|test))", re.S)
        yield f"a comment in {path.name}", change(path, body.sub(r"\1{# note #}\2\3", text_of(path)))
        yield f"SQL more in {path.name}", change(path, body.sub(r"\1 /* live: {{ 1 + 1 }} */ \2\3", text_of(path)))
    yield "an unused macro", change(project.dbt / "macros/unused_one.sql", "{% macro unused_one() %}1{% endmacro %}\n")


def compare(project):
    built = project.elt()
    print(f"{project.name}: built with exit code {built.returncode}", flush=True)
    assert built.returncode in (0, 1), built.stderr
    left = project.due()
    if left:
        print("  due without an edit:", sorted(left)[:5])
    shutil.copy(project.file, project.root / "dbt.duckdb")
    before = project.compiled("target/before")
    assert before is not None, "dbt cannot compile it"
    (project.root / "state").mkdir(exist_ok=True)
    shutil.copy(project.dbt / "target/before/manifest.json", project.root / "state/manifest.json")
    total = [0, 0, 0, 0, 0]
    saved = work / "saved"
    for name, edit in list(edits(project)):
        shutil.rmtree(saved, ignore_errors=True)
        ignored = shutil.ignore_patterns("target", "logs", "dbt_packages", "requirements")
        shutil.copytree(project.dbt, saved / "dbt", ignore=ignored)
        if (work / "packages").exists():
            shutil.copytree(work / "packages", saved / "packages", ignore=shutil.ignore_patterns("integration_tests"))
        try:
            (project.dbt / "macros").mkdir(exist_ok=True)
            edit()
            after = project.compiled("target/after")
            if after is None:
                print(f"  {name}: dbt cannot compile it, left out", flush=True)
                continue
            due, theirs = set(project.due()), project.modified()
        finally:
            for path in ("models", "macros", "seeds", "snapshots"):
                shutil.rmtree(project.dbt / path, ignore_errors=True)
            shutil.copytree(saved / "dbt", project.dbt, dirs_exist_ok=True)
            if (saved / "packages").exists():
                shutil.copytree(saved / "packages", work / "packages", dirs_exist_ok=True)
        differs = {key for key in after if after[key] != before.get(key, "")}
        # What did not build is due with and without the edit.
        ours, alone = due - set(left), theirs - due
        # A comment changes the compiled text without changing what is built.
        bare = lambda text: re.sub(r"\s+", " ", re.sub(r"--[^\n]*|/\*.*?\*/", " ", text or "", flags=re.S)).strip()
        real = {key for key in differs if key not in before or bare(after[key]) != bare(before[key])}
        wrong, missed = alone & real, real - due
        figures = [len(ours), len(theirs), len(real), len(alone), len(wrong | missed)]
        total = [a + b for a, b in zip(total, figures)]
        print(f"  {name}: elt {figures[0]}, dbt {figures[1]}, other SQL {figures[2]}, only dbt {figures[3]}, wrong {figures[4]}"
              + (f" {sorted(wrong | missed)[:4]}" if wrong | missed else ""), flush=True)
    print("  total: elt %d, dbt %d, other SQL %d, only dbt %d, wrong %d" % tuple(total), flush=True)
    return total[4]


if __name__ == "__main__":
    sys.exit(any([compare(Project(pathlib.Path(path).resolve())) for path in sys.argv[2:]]))
