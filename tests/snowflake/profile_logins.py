#!/usr/bin/env python3
"""Log in with dbt/profiles.yml as dbt does, once for each set of variables, without starting dbt for each.

Standard input is a JSON array of objects, the variables of one login each; standard output one line a login: `ok`, or
what was wrong.
"""

import json
import sys
from pathlib import Path

import yaml
from dbt.adapters.contracts.connection import Connection
from dbt.adapters.snowflake.connections import SnowflakeConnectionManager
from dbt.config.profile import Profile
from dbt.config.renderer import ProfileRenderer
from dbt_common.context import set_invocation_context

PROFILES = Path(__file__).parents[2] / "dbt" / "profiles.yml"


def log_in(variables: dict[str, str]) -> str:
    set_invocation_context(variables)
    raw = yaml.safe_load(PROFILES.read_text())["logistics"]
    target, settings = Profile.render_profile(raw, "logistics", "snowflake", ProfileRenderer({}))
    credentials = Profile._credentials_from_profile(settings, "logistics", target)
    connection = Connection(type="snowflake", name="login", credentials=credentials)
    SnowflakeConnectionManager.open(connection)
    connection.handle.close()
    return "ok"


for variables in json.load(sys.stdin):
    try:
        print(log_in(variables), flush=True)
    except Exception as error:  # noqa: BLE001
        print(f"{type(error).__name__}: {error}".replace("\n", " "), flush=True)
