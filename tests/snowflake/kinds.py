"""The kinds of tables and views of the local endpoint that DuckDB does not have: all are plain tables and views there.

What Snowflake distinguishes is kept: the TABLE_TYPE of INFORMATION_SCHEMA, that each kind has its own DROP, and that a clone
of a schema leaves external tables out.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from snowflake.connector.errors import ProgrammingError
from sqlglot import exp

DYNAMIC, EXTERNAL, MATERIALIZED = "DYNAMIC TABLE", "EXTERNAL TABLE", "MATERIALIZED VIEW"

CREATED = re.compile(
    r"create\s+(?:or\s+replace\s+)?(?:transient\s+)?(dynamic\s+table|external\s+table|materialized\s+view)\s", re.IGNORECASE
)
DROPPED = re.compile(r"drop\s+(dynamic\s+table|external\s+table|materialized\s+view)\s", re.IGNORECASE)

Kind = str | None


def of_statement(sql: str) -> Kind:
    """The kind that a statement makes or drops; none for plain tables and views."""
    found = CREATED.match(sql.strip()) or DROPPED.match(sql.strip())
    return " ".join(found[1].upper().split()) if found else None


def plain(sql: str, parse: Callable[[str], exp.Expression | None]) -> str:
    """The same statement about a plain table or view."""
    if found := DROPPED.match(sql.strip()):
        return DROPPED.sub(f"drop {found[1].split()[-1]} ", sql.strip())
    statement = parse(sql)
    if not isinstance(statement, exp.Create):
        return sql
    statement.set("properties", None)
    return statement.sql("snowflake")


def check_drop(dropped: str, found: Kind, is_view: bool) -> None:
    """Refuse a DROP of another kind than what has the name. `dropped` is the kind that the statement names."""
    kept = found or ("VIEW" if is_view else "TABLE")
    if dropped != kept:
        what, named = kept.replace(" ", "_"), dropped.replace(" ", "_")
        message = f"SQL compilation error:\nObject found is of type '{what}', not specified type '{named}'."
        raise ProgrammingError(msg=message, errno=2203, sqlstate="02000")
