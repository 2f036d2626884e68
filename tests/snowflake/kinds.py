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
ICEBERG = "ICEBERG TABLE"

KINDS = r"(dynamic\s+table|external\s+table|iceberg\s+table|materialized\s+view)\s"
CREATED = re.compile(rf"create\s+(?:or\s+replace\s+)?(transient\s+)?{KINDS}", re.IGNORECASE)
DROPPED = re.compile(rf"drop\s+{KINDS}", re.IGNORECASE)

Kind = str | None


def of_statement(sql: str) -> Kind:
    """The kind that a statement makes or drops; none for plain tables and views."""
    made = CREATED.match(sql.strip())
    if made and made[1] and made[2].upper().startswith("ICEBERG"):
        message = "SQL compilation error:\nUnsupported feature 'TRANSIENT ICEBERG TABLE'."
        raise ProgrammingError(msg=message, errno=2, sqlstate="0A000")
    name = made[2] if made else (dropped := DROPPED.match(sql.strip())) and dropped[1]
    return " ".join(name.upper().split()) if name else None


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
    # The word is optional for these.
    if dropped != kept and (dropped, kept) != ("TABLE", ICEBERG):
        what, named = kept.replace(" ", "_"), dropped.replace(" ", "_")
        message = f"SQL compilation error:\nObject found is of type '{what}', not specified type '{named}'."
        raise ProgrammingError(msg=message, errno=2203, sqlstate="02000")


def check_clone(made: Kind, source: Kind) -> None:
    """Refuse a clone of another kind than its source: each has its own CREATE."""
    if (made == ICEBERG) != (source == ICEBERG):
        message = "SQL compilation error:\nUnsupported feature 'CLONE of ICEBERG and other tables into each other'."
        raise ProgrammingError(msg=message, errno=2, sqlstate="0A000")
