#!/usr/bin/env python3
"""Print the inputs and outputs of public actions, by major version, as xtask/src/lint/workflow/actions.json.

    for action in actions/checkout actions/cache; do git clone https://github.com/$action clones/$action; done
    .venv/bin/python bench/lint/actions.py clones > xtask/src/lint/workflow/actions.json

CLONES holds a clone with all tags of each repository, as `owner/name`. Each `action.yml` in it (of the root and of
folders that are not tests) is read at every release. A major version has the inputs of all its releases, and requires
those that all of them require and that have no default. Outputs are those that are declared, and those that the
code of the newest release sets. Version `0` is that of commits and branches: what any
release or the default branch has.
"""

import json
import pathlib
import re
import subprocess
import sys

import yaml

RELEASE = re.compile(r"^v?(\d+)(?:\.(\d+))?(?:\.(\d+))?$")
IN_TESTS = re.compile(r"(^|/)(\.github|\.?_*tests?_*|examples?|node_modules|\..*)/")


def git(clone, *arguments):
    done = subprocess.run(["git", "-C", clone, *arguments], capture_output=True, text=True, errors="replace")
    return done.stdout if done.returncode == 0 else ""


def releases(clone):
    """The tags of each major version, oldest first."""
    found = {}
    for tag in git(clone, "tag").split():
        match = RELEASE.match(tag)
        if match:
            # `v4` is moved to the newest release.
            version = [int(part) if part else 10**6 for part in match.groups()]
            found.setdefault(version[0], []).append((version, tag))
    return {major: [tag for _, tag in sorted(tags)] for major, tags in sorted(found.items()) if major}


def actions(clone, ref):
    """The folder and the content of each action."""
    for path in git(clone, "ls-tree", "-r", "--name-only", ref).splitlines():
        folder, _, file = path.rpartition("/")
        if file not in ("action.yml", "action.yaml") or IN_TESTS.search(path):
            continue
        try:
            content = yaml.load(git(clone, "show", f"{ref}:{path}"), Loader=yaml.BaseLoader)
        except yaml.YAMLError:
            continue
        if isinstance(content, dict) and content.get("runs"):
            yield folder, content


def of_release(content):
    inputs = content.get("inputs") or {}
    required = {
        name
        for name, spec in inputs.items()
        if isinstance(spec, dict) and str(spec.get("required")).lower() == "true" and "default" not in spec
    }
    using = content["runs"].get("using", "")
    names = set(inputs) | ({"args", "entrypoint"} if using == "docker" else set())
    return {"using": using, "inputs": names, "required": required, "outputs": set(content.get("outputs") or {})}


def joined(older, newer):
    """Both releases as one version."""
    if older is None:
        return newer
    return {
        "using": newer["using"],
        "inputs": older["inputs"] | newer["inputs"],
        "required": older["required"] & newer["required"],
        "outputs": older["outputs"] | newer["outputs"],
    }


def outputs_of_code(clone, ref):
    text = git(clone, "grep", "-hoE", r"""setOutput\)?\(['"][A-Za-z][A-Za-z0-9_-]*['"]""", ref, "--", "src", "dist")
    return set(re.findall(r"""\(['"]([A-Za-z0-9_-]+)""", text))


def versions(clone):
    """By folder of the action: each of its versions."""
    found = {}
    by_major = releases(clone)
    branches = git(clone, "for-each-ref", "--format=%(refname)", "refs/heads", "refs/remotes/origin").split()
    named = [ref for ref in branches if re.search(r"/(stable|beta|nightly|main|master|HEAD|v\d+)$", ref)]
    for major, refs in [*by_major.items(), (0, [*named, "HEAD"])]:
        for ref in refs:
            for folder, content in actions(clone, ref):
                of_folder = found.setdefault(folder, {})
                of_folder[major] = joined(of_folder.get(major), of_release(content))
        for of_folder in found.values():
            if major in of_folder:
                of_folder[major]["outputs"] |= outputs_of_code(clone, refs[-1])
    for of_folder in found.values():
        for major in sorted(of_folder):
            if major:
                of_folder[0] = joined(of_folder.get(0), of_folder[major])
    return found


def written(version):
    return {key: sorted(value) if isinstance(value, set) else value for key, value in version.items()}


def main():
    clones = pathlib.Path(sys.argv[1])
    lines = []
    for clone in sorted(clones.glob("*/*"), key=lambda path: str(path).lower()):
        action = f"{clone.parent.name}/{clone.name}"
        for folder, of_folder in sorted(versions(clone).items()):
            name = f"{action}/{folder}" if folder else action
            entries, last = [], None
            for major, version in sorted(of_folder.items()):
                # Versions like the one before are left out, except for the newest, above which nothing is known.
                if major in (0, max(of_folder)) or written(version) != last:
                    entries.append(f'  "{major}": {json.dumps(written(version))}')
                last = written(version) if major else None
            lines.append(f' "{name.lower()}": {{\n' + ",\n".join(entries) + "\n }")
            print(f"{name}: versions {sorted(of_folder)}", file=sys.stderr)
    print("{\n" + ",\n".join(lines) + "\n}")


main()
