"""Errors of DuckDB and fakesnow in the words and codes of Snowflake."""

from __future__ import annotations

import re

import duckdb
from privileges import missing
from snowflake.connector.errors import ProgrammingError

LONGEST_TAG = 2000

NO_WAREHOUSE = (
    "No active warehouse selected in the current session.  Select an active warehouse with the 'use warehouse' command."
)


def too_long_tag() -> ProgrammingError:
    message = f"SQL compilation error:\nvalue for parameter 'QUERY_TAG' is longer than {LONGEST_TAG} characters"
    return ProgrammingError(msg=message, errno=1007, sqlstate="22023")


def in_snowflakes_words(error: ProgrammingError) -> ProgrammingError:
    """DuckDB's words for a name that exists already, or does not, as Snowflake says it: clients look for both."""
    found = re.match(
        r"Catalog Error: \w+ with name \"?([\w.]+)\"? (already exists|does not exist)", error.raw_msg or ""
    )
    if not found:
        return error
    if found[2] == "already exists":
        message = f"SQL compilation error:\nObject '{found[1]}' already exists."
        return ProgrammingError(msg=message, errno=2002, sqlstate="42710")
    return missing("Object", found[1])


def snowflake_error(error: duckdb.Error) -> ProgrammingError:
    """A DuckDB error that fakesnow does not translate; one of our macros carries its code in front."""
    message = str(error).split("\n")[0]
    if "[000709]" in message:
        return ProgrammingError(msg=message.split("[000709] ")[1], errno=709, sqlstate="22023")
    if "[100051]" in message:
        return ProgrammingError(msg="Division by zero", errno=100051, sqlstate="22012")
    if isinstance(error, duckdb.ConstraintException) and "CHECK constraint" in message:
        return ProgrammingError(msg="String is too long and would be truncated", errno=100078, sqlstate="22000")
    if isinstance(error, duckdb.ConstraintException):
        return ProgrammingError(msg=f"NULL result in a non-nullable column: {message}", errno=100072, sqlstate="22000")
    return ProgrammingError(msg=f"SQL execution internal error:\n{message}", errno=603, sqlstate="XX000")
