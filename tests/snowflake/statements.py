"""Statements as text: which kind each is, its names, and the parts that sqlglot does not understand together."""

from __future__ import annotations

import functools
from datetime import datetime, timezone
from typing import Any

import sqlglot
from fakesnow import dialect
from grants import Words
from snowflake.connector.errors import ProgrammingError
from sqlglot import TokenType, exp

# A name as it is written, in quotes or not.
NAME = r'"(?:[^"]|"")+"|\w+'
NEEDS_WAREHOUSE = {"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "CREATE_TABLE_AS_SELECT"}


def now() -> datetime:
    return datetime.now(timezone.utc)


def query_type(statement: exp.Expression | None) -> str:
    """The QUERY_TYPE that Snowflake writes into its history."""
    if isinstance(statement, exp.Create):
        as_select = statement.kind == "TABLE" and statement.expression is not None
        return "CREATE_TABLE_AS_SELECT" if as_select else f"CREATE_{statement.kind}".replace("CREATE_SCHEMA", "CREATE")
    if isinstance(statement, exp.Alter) and statement.kind == "SESSION":
        return "ALTER_SESSION"
    if isinstance(statement, exp.Transaction):
        return "BEGIN_TRANSACTION"
    if isinstance(statement, exp.TruncateTable):
        return "TRUNCATE_TABLE"
    if isinstance(statement, exp.Command):
        return str(statement.this).upper()
    if isinstance(statement, exp.Query):
        return "SELECT"
    return "UNKNOWN" if statement is None else statement.key.upper()


@functools.lru_cache(maxsize=256)
def parsed_once(sql: str) -> exp.Expression:
    return dialect.parse_one(sql)


def parse(sql: str) -> exp.Expression | None:
    """The statement, or none when it is not one; execution then says what is wrong with it."""
    try:
        return parsed_once(sql).copy()
    except (ProgrammingError, sqlglot.errors.SqlglotError):
        return None


class SchemaStatement(Words):
    """`create schema` and `alter schema` with all their options; sqlglot understands only some of them together."""

    def __init__(self, sql: str):
        super().__init__(sql)
        self.options: dict[str, Any] = {}
        self.clone: list[str] = []
        self.verb = "CREATE" if self.takes("CREATE") else "ALTER" if self.takes("ALTER") else ""
        self.replace = self.takes("OR", "REPLACE")
        self.transient = self.takes("TRANSIENT")
        self.is_schema = bool(self.verb) and self.takes("SCHEMA")
        if not self.is_schema:
            return
        self.if_exists = self.takes("IF", "NOT", "EXISTS") or self.takes("IF", "EXISTS")
        self.name = self.path()
        self.clone = self.path() if self.takes("CLONE") else []
        self.takes("SET")
        self.managed = self.takes("WITH", "MANAGED", "ACCESS")
        while self.at < len(self.tokens):
            self.option()

    def path(self) -> list[str]:
        parts = []
        while not parts or self.takes("."):
            token = self.next()
            parts.append(token.text if token.token_type == TokenType.IDENTIFIER else token.text.upper())
        return parts

    def option(self) -> None:
        word = self.next()
        key = word.text.upper()
        if key not in {"COMMENT", "DATA_RETENTION_TIME_IN_DAYS", "MAX_DATA_EXTENSION_TIME_IN_DAYS"} or not self.takes(
            "="
        ):
            raise ProgrammingError(
                msg=f"SQL compilation error:\nunexpected '{word.text}'.", errno=1003, sqlstate="42000"
            )
        self.options[key] = self.next().text
        self.takes(",")


def enforce_what_snowflake_enforces(table: exp.Schema) -> None:
    """NOT NULL and the length of texts; keys are declared and not enforced."""
    keys = (exp.PrimaryKey, exp.UniqueColumnConstraint, exp.ForeignKey, exp.Constraint)
    table.set("expressions", [part for part in table.expressions if not isinstance(part, keys)])
    for column in table.expressions:
        if not isinstance(column, exp.ColumnDef):
            continue
        kept = []
        for constraint in column.args.get("constraints") or []:
            kind = constraint.args.get("kind")
            if isinstance(kind, exp.PrimaryKeyColumnConstraint):
                kept.append(exp.ColumnConstraint(kind=exp.NotNullColumnConstraint()))
            elif not isinstance(kind, (exp.UniqueColumnConstraint, exp.Reference)):
                kept.append(constraint)
        kind = column.args.get("kind")
        if isinstance(kind, exp.DataType) and kind.is_type("varchar", "text", "char") and kind.expressions:
            length = exp.Anonymous(this="length", expressions=[exp.Column(this=column.this.copy())])
            fits = exp.LTE(this=length, expression=exp.Literal.number(kind.expressions[0].name))
            kept.append(exp.ColumnConstraint(kind=exp.CheckColumnConstraint(this=fits)))
        column.set("constraints", kept)


def statements_in(sql: str) -> int:
    """How many there are, 0 if a text or a name is not closed; a block of Snowflake Scripting is one."""
    try:
        tokens = sqlglot.tokenize(sql, read="snowflake")
    except sqlglot.errors.TokenError:
        return 0
    if not tokens or tokens[0].text.upper() in {"BEGIN", "DECLARE"} and len(tokens) > 2:
        return 1
    ends = [at for at, token in enumerate(tokens) if token.token_type == TokenType.SEMICOLON]
    return 1 + sum(1 for at in ends if at + 1 < len(tokens) and tokens[at + 1].token_type != TokenType.SEMICOLON)


def is_write(sql: str) -> bool:
    words = sql.lower().split()
    if not words or words[0] in {"select", "show", "use", "describe"} or words[:2] == ["alter", "session"]:
        return False
    return "lock_" not in sql.lower()


def identifier(node: exp.Expression) -> str:
    return node.this if node.args.get("quoted") else str(node.name).upper()


def kept(written: str) -> str:
    """A name as Snowflake keeps it."""
    return written[1:-1].replace('""', '"') if written.startswith('"') else written.upper()


def quoted(*parts: str) -> str:
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def text(value: str | None) -> str:
    return "null::varchar" if value is None else exp.Literal.string(value).sql("duckdb")
