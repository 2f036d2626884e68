#!/usr/bin/env python3
"""Print the keys that dbt v2 knows, from the JSON schemas that dbt-core carries, as keys.json beside this file.

    .venv/bin/python xtask/src/lint/dbt_v2/keys.py > xtask/src/lint/dbt_v2/keys.json
"""

import importlib.resources
import json
import sys

schemas = importlib.resources.files("dbt.jsonschemas")
resources = json.loads((schemas / "resources" / "latest.json").read_text())
projects = sorted((schemas / "project").iterdir(), key=lambda file: [int(n) for n in file.name.split(".")[:3]])
project = json.loads(projects[-1].read_text())


def keys(schema, name):
    return sorted(schema["definitions"][name].get("properties", {}))


kinds = {
    "models": ("ModelProperties", "ModelConfig", "ProjectModelConfig"),
    "seeds": ("SeedProperties", "SeedConfig", "ProjectSeedConfig"),
    "snapshots": ("SnapshotProperties", "SnapshotConfig", "ProjectSnapshotConfig"),
    "sources": ("SourceProperties", "SourceConfig", "ProjectSourceConfig"),
    "tables": ("Tables", "TablesConfig", None),
    "columns": ("ColumnProperties", "ColumnConfig", None),
    "data_tests": ("DataTestProperties", "DataTestConfig", "ProjectDataTestConfig"),
    "exposures": ("ExposureProperties", "ExposureConfig", None),
}
found = {
    "file": sorted(resources["properties"]),
    "project": sorted(project["properties"]),
    "kinds": {
        kind: {
            "properties": keys(resources, properties),
            "config": keys(resources, config),
            "project": [key.removeprefix("+") for key in keys(project, settings)] if settings else [],
        }
        for kind, (properties, config, settings) in kinds.items()
    },
}
json.dump(found, sys.stdout, indent=1)
print()
