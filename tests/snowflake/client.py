#!/usr/bin/env python3
"""Snowflake's Python connector for many logins: importing it takes longer than what a test asks.

Standard input has a JSON object a line: `login`, the arguments of `connect`, and `statements`, each of which is run in
another session, or `script`, several statements in one session. Each is answered with a line of JSON on standard output:
{"value": the first value of the last answer, as text, or null without a row} or {"error": what Snowflake says}.
"""

import json
import sys
from typing import Any

from snowflake.connector import connect
from snowflake.connector.cursor import SnowflakeCursor
from snowflake.connector.errors import Error


def value(cursor: SnowflakeCursor) -> str | None:
    row = cursor.fetchone()
    return str(row[0]) if row else None


def run(request: dict[str, Any]) -> str | None:
    if script := request.get("script"):
        with connect(**request["login"]) as session:
            return [value(cursor) for cursor in session.execute_string(script, remove_comments=True)][-1]
    last = None
    for statement in request["statements"]:
        with connect(**request["login"]) as session:
            last = value(session.cursor().execute(statement))
    return last


for line in sys.stdin:
    try:
        answer = {"value": run(json.loads(line))}
    except Error as error:
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)
