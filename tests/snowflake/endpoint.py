#!/usr/bin/env python3
"""A local Snowflake: fakesnow's server, with what it lacks and this project uses.

fakesnow speaks Snowflake's wire protocol over DuckDB, so the unmodified clients (dbt-snowflake, the Python connector,
ADBC) connect to it. Added here: schemas with a comment, a retention and a clone; the INFORMATION_SCHEMA views and the
QUERY_HISTORY function that the toolkit reads, filled with the statements that were really run; sessions that know
their user, role, warehouse and query tag; and, on demand, the ways in which a warehouse lets its clients down.

    python tests/snowflake/endpoint.py --port 0 [--data FILE.duckdb] [--database NAME]... [--bare]

It serves 127.0.0.1, also as an HTTP proxy, prints one line `{"port": N}` when it is ready, and ends when its standard
input is closed, so that it never outlives the process that started it. Any user, password, key and token is right
(users.py). A role may do what it owns and what is granted to it (privileges.py); at the start the grants are those of
sql/snowflake/bootstrap.
Where it is known to differ from Snowflake is in differences.toml beside it: `cargo xtask conformance` compares both.

    GET  /__control/statements  the statements that were run, oldest first
    GET  /__control/logins      who logged in, and how; of a secret only the SHA-256
    POST /__control/history     add queries that were not run to the history: the rows of a query in DuckDB's SQL
    POST /__control             demand faults, as a JSON object; they last until `{"reset": true}` unless counted:
        {"fail_login": "390100"}       refuse logins with this code
        {"fail_statement": TEXT}       refuse the next statement that contains it: 003001
        {"fail_write": N}              refuse the Nth statement from now on that changes something, except locks: 003001
        {"suspend_warehouse": true}    refuse what needs a warehouse: 000606
        {"throttle": N}                answer the next N requests with HTTP 429
        {"unavailable": N}             answer the next N requests with HTTP 503
        {"forbidden": N}               answer the next N requests with HTTP 403
        {"drop_connection": N}         run the next N requests, and close the connection in the middle of the answer
        {"delay": SECONDS, "containing": TEXT}  take so long for each such statement, unless it is cancelled
        {"hang": true}                 accept requests and answer none of them until the reset
        {"on": "login" | "query"}      beside counted faults and `hang`: only such requests
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import functools
import gzip
import hashlib
import json
import logging
import os
import re
import secrets
import socket
import sys
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb
import pyarrow
import pyarrow.compute
import kinds
import sqlglot
import uvicorn
from fakesnow import arrow, dialect, info_schema, macros, transforms
from fakesnow.conn import FakeSnowflakeConnection
from fakesnow.cursor import FakeSnowflakeCursor
from fakesnow.instance import FakeSnow
from fakesnow.server import SERVER_VERSION, query_request, routes, session, sessions
from snowflake.connector.errors import ProgrammingError
from sqlglot import TokenType, exp
from privileges import OF_WAREHOUSES, REGISTRY, Grant, Privileges, Words, cannot_use, missing, refused
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

DATABASE = "LOGISTICS_DEMO"
META = "_fs_global._fs_information_schema"

# What fakesnow cannot know or leaves out of INFORMATION_SCHEMA. The macros take the database's name, because these
# views are those of one database. Bytes are made up, eight for each value, and so the same on every machine.
META_SQL = f"""
create table if not exists {META}._ep_schemas (
    database_name varchar, schema_name varchar, owner varchar, comment varchar, retention_time integer,
    is_transient boolean, created timestamptz, primary key (database_name, schema_name));
create table if not exists {META}._ep_relations (
    database_name varchar, schema_name varchar, relation_name varchar, is_transient boolean, created timestamptz,
    last_altered timestamptz, owner varchar, kind varchar,
    primary key (database_name, schema_name, relation_name));
create table if not exists {META}._ep_grants (
    role_name varchar, privilege varchar, database_name varchar, schema_name varchar, object_name varchar);
create table if not exists {META}._ep_history (
    query_id varchar, query_text varchar, database_name varchar, schema_name varchar, query_type varchar,
    session_id bigint, user_name varchar, role_name varchar, warehouse_name varchar, warehouse_size varchar,
    warehouse_type varchar, cluster_number bigint, query_tag varchar, execution_status varchar, error_code varchar,
    error_message varchar, start_time timestamptz, end_time timestamptz, total_elapsed_time bigint,
    bytes_scanned bigint, rows_produced bigint, compilation_time bigint, execution_time bigint,
    queued_provisioning_time bigint, queued_repair_time bigint, queued_overload_time bigint,
    transaction_blocked_time bigint, credits_used_cloud_services double);

create or replace macro {META}._ep_query_history(range_start, range_end, result_limit, of_user, of_warehouses) as table
    select * from {META}._ep_history
    where case
        when result_limit not between 1 and 10000
            then error('[000709] RESULT_LIMIT of QUERY_HISTORY must be between 1 and 10000')
        when cast(range_start as timestamptz) < now() - interval 7 days
            then error('[000709] Cannot retrieve data from more than 7 days ago')
        else true end
        and (user_name is not distinct from of_user or list_contains(of_warehouses, warehouse_name))
        and end_time >= coalesce(cast(range_start as timestamptz), '-infinity')
        and end_time <= coalesce(cast(range_end as timestamptz), now())
    order by end_time desc
    limit result_limit;

create or replace macro {META}._ep_schemata(of_database, of_roles) as table
    select
        s.database_name as catalog_name,
        case s.schema_name when '_fs_information_schema' then 'INFORMATION_SCHEMA' else s.schema_name end
            as schema_name,
        coalesce(e.owner, 'SYSADMIN') as schema_owner,
        case when e.is_transient then 'YES' else 'NO' end as is_transient,
        'NO' as is_managed_access,
        coalesce(e.retention_time, 1) as retention_time,
        coalesce(e.created, to_timestamp(0)) as created,
        coalesce(e.created, to_timestamp(0)) as last_altered,
        e.comment as comment
    from duckdb_schemas() as s
    left join {META}._ep_schemas as e on s.database_name = e.database_name and s.schema_name = e.schema_name
    where s.database_name = of_database and s.schema_name not in ('main', 'pg_catalog', 'information_schema')
        and (
            s.schema_name = '_fs_information_schema'
            or of_roles && ['ACCOUNTADMIN', coalesce(e.owner, 'SYSADMIN')]
            or exists (
                select 1 from {META}._ep_grants as g
                where g.database_name = s.database_name and g.schema_name = s.schema_name
                    and g.object_name is null and list_contains(of_roles, g.role_name)
            )
        );

create or replace macro {META}._ep_tables(of_database, of_roles) as table
    select
        r.database_name as table_catalog, r.schema_name as table_schema, r.relation_name as table_name,
        coalesce(e.owner, s.owner, 'SYSADMIN') as table_owner,
        case when e.kind in ('{kinds.MATERIALIZED}', '{kinds.EXTERNAL}') then e.kind else r.table_type end as table_type,
        case when e.kind = '{kinds.DYNAMIC}' then 'YES' else 'NO' end as is_dynamic, 'NO' as is_iceberg,
        case when e.is_transient or s.is_transient then 'YES' else 'NO' end as is_transient,
        null::varchar as clustering_key, r.row_count, r.row_count * 8 * r.column_count as bytes,
        coalesce(s.retention_time, 1) as retention_time,
        coalesce(e.created, to_timestamp(0)) as created, coalesce(e.last_altered, to_timestamp(0)) as last_altered,
        coalesce(e.last_altered, to_timestamp(0)) as last_ddl, x.comment as comment
    from (
        select database_name, schema_name, table_name as relation_name, 'BASE TABLE' as table_type,
            estimated_size as row_count, column_count
        from duckdb_tables()
        union all
        select database_name, schema_name, view_name, 'VIEW', null, column_count from duckdb_views() where not internal
    ) as r
    left join {META}._ep_schemas as s on r.database_name = s.database_name and r.schema_name = s.schema_name
    left join {META}._ep_relations as e
        on r.database_name = e.database_name and r.schema_name = e.schema_name and r.relation_name = e.relation_name
    left join {META}._fs_tables_ext as x
        on r.database_name = x.ext_table_catalog and r.schema_name = x.ext_table_schema
        and r.relation_name = x.ext_table_name
    where r.database_name = of_database and r.schema_name not in ('main', '_fs_information_schema')
        and r.relation_name not like '%$%'
        and (
            of_roles && ['ACCOUNTADMIN', coalesce(e.owner, s.owner, 'SYSADMIN')]
            or exists (
                select 1 from {META}._ep_grants as g
                where g.database_name = r.database_name and g.schema_name = r.schema_name
                    and g.object_name = r.relation_name and list_contains(of_roles, g.role_name)
            )
        );

create or replace macro {META}._ep_table_storage_metrics(of_database, of_roles) as table
    select
        table_catalog, table_schema, table_name, is_transient, bytes as active_bytes, 0 as time_travel_bytes,
        0 as failsafe_bytes, 0 as retained_for_clone_bytes, created as table_created,
        null::timestamptz as table_dropped, null::timestamptz as schema_dropped, comment
    from {META}._ep_tables(of_database, of_roles)
    where list_contains(of_roles, 'ACCOUNTADMIN') and table_type = 'BASE TABLE';

create or replace macro {META}._ep_columns(of_database, of_roles) as table
    select c.* from {META}._fs_columns as c
    semi join {META}._ep_tables(of_database, of_roles) as t
        on c.table_catalog = t.table_catalog and c.table_schema = t.table_schema and c.table_name = t.table_name;
"""

LOGIN_FAILURES = {
    "390100": "Incorrect username or password was specified.",
    "390114": "Authentication token has expired.  The user must authenticate again.",
    "390144": "JWT token is invalid. [0ce9eb56-821d-4ca9-a774-04ae89a0cf5a]",
    "390189": "Role '{role}' specified in the connect string does not exist or not authorized. Contact your local "
    "system administrator, or attempt to login with another role, e.g. PUBLIC.",
    "390201": "The requested {wanting} does not exist or not authorized.",
    "390303": "Invalid OAuth access token.",
    "390318": "OAuth access token expired.",
    "390422": "Incoming request with IP/Token 127.0.0.1 is not allowed to access Snowflake.",
    "390197": "Multi-factor authentication is required for this account. Log in to Snowsight to enroll.",
    "394400": "Programmatic access token is invalid.",
    "394507": "Failed to authenticate: a network policy is required for programmatic access tokens.",
    "394508": "Failed to authenticate: MFA with TOTP is required. To authenticate, provide both your password and a "
    "current TOTP passcode.",
    "395090": "Workload identity authentication failed: the subject of the token does not match a user.",
}

OF_THE_ACCOUNT = {"WAREHOUSE", "ROLE", "USER", "NETWORK", "RESOURCE"}
# Of users that were not made, if their login names none.
DEFAULT_ROLE = "BUILDER"

# What `alter session` may set, besides the many that only format results.
PARAMETERS = re.compile(
    "AUTOCOMMIT|QUERY_TAG|TIMEZONE|WEEK_START|JSON_INDENT|LOCK_TIMEOUT|ROWS_PER_RESULTSET|MULTI_STATEMENT_COUNT|"
    "USE_CACHED_RESULT|ABORT_DETACHED_QUERY|STATEMENT_(QUEUED_)?TIMEOUT_IN_SECONDS|QUOTED_IDENTIFIERS_IGNORE_CASE|"
    "S3_STAGE_VPCE_DNS_NAME|(CLIENT|DATE|TIME|TIMESTAMP|BINARY|GEOGRAPHY|ERROR_ON|PYTHON|TRANSACTION)_[A-Z_]+"
)
LONGEST_TAG = 2000

NO_WAREHOUSE = (
    "No active warehouse selected in the current session.  Select an active warehouse with the 'use warehouse' command."
)
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


class Cursor(FakeSnowflakeCursor):
    """Runs statements for a session; those that fakesnow or DuckDB cannot run are run or rewritten here."""

    _conn: Session

    def execute(self, command: str, params: Any = None, *args: Any, **kwargs: Any) -> Cursor:
        self._conn.kind = kinds.of_statement(command)
        if self._conn.kind:
            command = kinds.plain(command, parse)
        statement = parse(command)
        try:
            self.check_privileges(statement)
            self.check_warehouse(statement)
            self.check_drop(statement)
            if not self.ends_nothing(statement) and not self.run_here(command, statement):
                super().execute(command, params, *args, **kwargs)
            self.remember(statement)
        except ProgrammingError as error:
            raise in_snowflakes_words(error) from error
        except duckdb.Error as error:
            raise snowflake_error(error) from error
        except sqlglot.errors.SqlglotError as error:
            # an error of HTTP would be repeated by clients for ever
            message = f"SQL compilation error:\nsyntax error: {error}"
            raise ProgrammingError(msg=message, errno=1003, sqlstate="42000") from error
        return self

    def ends_nothing(self, statement: exp.Expression | None) -> bool:
        """Whether a transaction is to be ended that is not open: Snowflake commits before it makes or drops anything."""
        session = self._conn
        if isinstance(statement, (exp.Commit, exp.Rollback)):
            was_open, session.is_open = session.is_open, False
            if session.has_committed and not was_open:
                self.answer("Statement executed successfully.")
                return True
        elif isinstance(statement, exp.Transaction):
            session.is_open, session.has_committed = True, False
        elif isinstance(statement, (exp.Create, exp.Drop, exp.Alter, exp.TruncateTable)) and session.is_open:
            self._duck_conn.execute("commit")
            session.is_open, session.has_committed = False, True
        return False

    def run_here(self, command: str, statement: exp.Expression | None) -> bool:
        words = [token.text.upper() for token in sqlglot.tokenize(command, read="snowflake")[:5]]
        if "SCHEMA" in words and words[0] in {"CREATE", "ALTER"}:
            ddl = SchemaStatement(command)
            if ddl.is_schema:
                self.create_schema(ddl) if ddl.verb == "CREATE" else self.alter_schema(
                    ddl.name, ddl.options, ddl.if_exists
                )
                return True
        if isinstance(statement, exp.Comment) and str(statement.args["kind"]).upper() == "SCHEMA":
            name = [identifier(part) for part in statement.this.parts]
            self.alter_schema(name, {"COMMENT": statement.expression.this}, bool(statement.args.get("exists")))
            return True
        if words and words[0] in {"GRANT", "REVOKE"}:
            self.grant(Grant(command))
            return True
        if words[:1] and words[0] in {"CREATE", "ALTER", "DROP"} and words[1:2] and words[1] in OF_THE_ACCOUNT:
            self.manage_account(command, words)
            return True
        if isinstance(statement, exp.Create) and statement.kind == "TABLE" and statement.args.get("clone"):
            database, schema, name = self.path_of(statement.this)
            if statement.args.get("exists") and self._conn.account.has_relation(database, schema, name):
                self.answer(f"{name} already exists, statement succeeded.")
                return True
        if isinstance(statement, exp.Alter) and statement.kind == "SESSION":
            return self.alter_session(statement)
        if isinstance(statement, exp.Use):
            return self.use(statement)
        if isinstance(statement, exp.Show) and self.show(statement):
            return True
        if words[:3] == ["SHOW", "PARAMETERS", "LIKE"]:
            self.show_parameter(words[3])
            return True
        return False

    def check_privileges(self, statement: exp.Expression | None) -> None:
        """Refuse what the role of this session may not do, and note whether what is made existed."""
        session = self._conn
        session.existed = False
        if statement is None or isinstance(statement, (exp.Use, exp.Command, exp.Grant, exp.Revoke)):
            return
        if isinstance(statement, exp.Show):
            self.check_show(statement)
            return
        if isinstance(statement, exp.Create):
            table = statement.this.this if isinstance(statement.this, exp.Schema) else statement.this
            session.existed = isinstance(table, exp.Table) and self.exists(self.path_of(table))
        session.account.privileges.check(session.role, statement, self.path_of, self.exists)

    def check_warehouse(self, statement: exp.Expression | None) -> None:
        """Whether there is a warehouse that computes for the role."""
        session = self._conn
        if query_type(statement) not in NEEDS_WAREHOUSE or not statement.find(exp.Table):
            return
        if session.warehouse not in session.account.privileges.warehouses(session.role, "USAGE"):
            raise ProgrammingError(msg=NO_WAREHOUSE, errno=606, sqlstate="57P03")

    def check_drop(self, statement: exp.Expression | None) -> None:
        if not isinstance(statement, exp.Drop) or statement.kind not in {"TABLE", "VIEW"}:
            return
        for table in statement.args.get("tables") or []:
            path = self.path_of(table)
            if self.exists(path):
                is_view = path[-1] in self._conn.account.relations(path[:2], "VIEW")
                kinds.check_drop(self._conn.kind or statement.kind, self._conn.account.kind(path), is_view)

    def check_show(self, statement: exp.Show) -> None:
        scope, kind = statement.args.get("scope"), str(statement.args.get("scope_kind") or "").upper()
        if isinstance(scope, exp.Table) and kind == "SCHEMA":
            path = self.full_name([identifier(part) for part in scope.parts])
            if not self._conn.account.privileges.may(self._conn.role, "USAGE", path):
                raise cannot_use()

    def exists(self, path: tuple) -> bool:
        """Whether there is such a schema or relation; a temporary one is the session's and not looked for."""
        if path in self._conn.temporary:
            return False
        account = self._conn.account
        return account.has_schema(*path) if len(path) == 2 else account.has_relation(*path)

    def grant(self, grant: Grant) -> None:
        account = self._conn.account
        full = lambda path: self.existing_schema(path)  # noqa: E731
        for path, owner in account.privileges.apply(self._conn.role, grant, full, account.relations):
            account.set_owner(path, owner)
        self.answer("Statement executed successfully.")

    def existing_schema(self, path: list[str]) -> tuple[str, str]:
        found = self.full_name(path)
        if not self._conn.account.has_schema(*found):
            raise missing("Schema", ".".join(found))
        return found

    def manage_account(self, command: str, words: list[str]) -> None:
        """Roles, users and warehouses."""
        privileges, role = self._conn.account.privileges, self._conn.role
        kind = words[1]
        if kind == "WAREHOUSE" and words[0] != "CREATE":
            self.alter_warehouse(command)
        elif kind in {"ROLE", "USER", "WAREHOUSE"}:
            privileges.require_creator(role, kind)
        named = re.match(rf'create\s+(role|warehouse)\s+(?:if\s+not\s+exists\s+)?({NAME})', command, re.IGNORECASE)
        name = kept(named[2]) if named else ""
        if named and kind == "ROLE":
            privileges.roles.setdefault(name, set())
        elif named:
            privileges.make_warehouse(role, name)
        elif kind == "ROLE" and (dropped := re.match(rf'drop\s+role\s+(?:if\s+exists\s+)?({NAME})', command, re.I)):
            privileges.drop_role(kept(dropped[1]))
        elif kind == "USER" and not privileges.users.manage(command):
            raise missing("User", words[2])
        self.answer("Statement executed successfully.")

    def alter_warehouse(self, command: str) -> None:
        """OPERATE starts and stops it, MODIFY sets its properties."""
        found = re.match(
            rf'(?:alter|drop)\s+warehouse\s+(?:if\s+exists\s+)?({NAME})\s*(resume|suspend|abort|set|unset)?', command, re.I
        )
        path = (OF_WAREHOUSES, kept(found[1]) if found else "")
        privileges = self._conn.account.privileges
        if not found or path not in privileges.schemas:
            raise missing("Warehouse", path[-1])
        verb = (found[2] or "").lower()
        needed = "OPERATE" if verb in {"resume", "suspend", "abort"} else "MODIFY" if verb else "OWNERSHIP"
        if not privileges.may(self._conn.role, needed, path):
            raise refused("warehouse", path[-1])

    def answer(self, status: str) -> None:
        self.run_duckdb(f"select {exp.Literal.string(status).sql('duckdb')} as status")

    def run_duckdb(self, sql: str) -> None:
        self._execute(sqlglot.parse_one(sql, read="duckdb"))

    def full_name(self, path: list[str]) -> tuple[str, str]:
        """Database and schema of a schema's name; the session's database where none is given."""
        database = path[-2] if len(path) > 1 else self._conn.database
        if not database or not self._conn.account.has_database(database):
            raise missing("Database", database or "")
        return database, path[-1]

    def create_schema(self, ddl: SchemaStatement) -> None:
        database, schema = self.full_name(ddl.name)
        privileges = self._conn.account.privileges
        if not privileges.may(self._conn.role, "CREATE SCHEMA", (database,)):
            raise refused("database", database) if privileges.sees(self._conn.role, (database,)) else missing(
                "Database", database
            )
        if self._conn.account.has_schema(database, schema):
            if ddl.if_exists:
                return self.answer(f"{schema} already exists, statement succeeded.")
            if not ddl.replace:
                message = f"SQL compilation error:\nObject '{database}.{schema}' already exists."
                raise ProgrammingError(msg=message, errno=2002, sqlstate="42710")
            privileges.require(self._conn.role, "OWNERSHIP", (database, schema), "Schema")
            self._duck_conn.execute(f"drop schema {quoted(database, schema)} cascade")
        retention = int(ddl.options.get("DATA_RETENTION_TIME_IN_DAYS", 1))
        if retention > (1 if ddl.transient else 90):
            message = f"SQL compilation error:\ninvalid value [{retention}] for parameter 'DATA_RETENTION_TIME_IN_DAYS'"
            raise ProgrammingError(msg=message, errno=1008, sqlstate="22023")
        source = self.full_name(ddl.clone) if ddl.clone else None
        if source and not self._conn.account.has_schema(*source):
            raise missing("Schema", ".".join(source))
        if source:
            privileges.require(self._conn.role, "USAGE", source, "Schema")
        if source and not ddl.transient and self._conn.account.is_transient(*source):
            message = (
                f"SQL compilation error:\nTransient object cannot be cloned to a permanent object: {'.'.join(source)}."
            )
            raise ProgrammingError(msg=message, errno=2120, sqlstate="0A000")
        self._duck_conn.execute(f"create schema {quoted(database, schema)}")
        privileges.made_schema(self._conn.role, (database, schema), ddl.managed)
        if source:
            self.copy_relations(source, (database, schema))
            privileges.cloned_schema(source, (database, schema))
        comment = ddl.options.get("COMMENT")
        self._conn.account.meta(
            f"insert or replace into {META}._ep_schemas values (?, ?, ?, ?, ?, ?, ?)",
            [database, schema, self._conn.role, comment, retention, ddl.transient, now()],
        )
        super().execute(f"use schema {quoted(database, schema)}")
        self.answer(f"Schema {schema} successfully created.")

    def copy_relations(self, source: tuple[str, str], target: tuple[str, str]) -> None:
        """Tables with their rows, and views that go on reading what they were written to read, as on Snowflake."""
        for catalogue in ("duckdb_tables()", "duckdb_views()"):
            where = f"from {catalogue} where database_name = ? and schema_name = ? order by 1"
            for (sql,) in self._duck_conn.execute(f"select sql {where}", list(source)).fetchall():
                create = sqlglot.parse_one(sql, read="duckdb")
                relation = create.this.this if isinstance(create.this, exp.Schema) else create.this
                name = relation.name
                kind = self._conn.account.kind((*source, name))
                if kind == kinds.EXTERNAL:
                    continue
                relation.set("catalog", exp.to_identifier(target[0], quoted=True))
                relation.set("db", exp.to_identifier(target[1], quoted=True))
                self._duck_conn.execute(create.sql("duckdb"))
                # a clone keeps the owners of what is in the schema
                owner = self._conn.account.owner(*source, name)
                self._conn.account.made(*target, relation.name, transient=True, owner=owner, kind=kind)
                if create.kind == "TABLE":
                    rows = f"select * from {quoted(*source, relation.name)}"
                    self._duck_conn.execute(f"insert into {quoted(*target, relation.name)} {rows}")

    def alter_schema(self, path: list[str], options: dict[str, Any], if_exists: bool) -> None:
        database, schema = self.full_name(path)
        account = self._conn.account
        if not account.has_schema(database, schema):
            if if_exists:
                return self.answer("Statement executed successfully.")
            raise missing("Schema", f"{database}.{schema}")
        account.privileges.require(self._conn.role, "OWNERSHIP", (database, schema), "Schema")
        account.meta(
            f"insert or ignore into {META}._ep_schemas values (?, ?, ?, null, 1, false, ?)",
            [database, schema, self._conn.role, now()],
        )
        for option, column in {"COMMENT": "comment", "DATA_RETENTION_TIME_IN_DAYS": "retention_time"}.items():
            if option in options:
                account.meta(
                    f"update {META}._ep_schemas set {column} = ? where database_name = ? and schema_name = ?",
                    [options[option], database, schema],
                )
        self.answer("Statement executed successfully.")

    def alter_session(self, statement: exp.Expression) -> bool:
        for item in statement.find_all(exp.SetItem):
            name = item.this.this.name.upper() if isinstance(item.this, exp.EQ) else item.name.upper()
            if name == "AUTOCOMMIT":
                return False
            value = item.this.expression.name if isinstance(item.this, exp.EQ) else ""
            if not PARAMETERS.fullmatch(name):
                message = f"SQL compilation error:\ninvalid property '{name}' for 'SESSION'"
                raise ProgrammingError(msg=message, errno=2, sqlstate="0A000")
            if name == "QUERY_TAG" and len(value) > LONGEST_TAG:
                raise too_long_tag()
            self._conn.parameters[name] = value
        self.answer("Statement executed successfully.")
        return True

    def use(self, statement: exp.Use) -> bool:
        kind = str(statement.args.get("kind") or "").upper()
        if kind in {"SECONDARY ROLES", "SECONDARY"} or statement.sql("snowflake").upper().startswith("USE SECONDARY"):
            self.answer("Statement executed successfully.")
            return True
        if kind not in {"ROLE", "WAREHOUSE"}:
            self.check_use(kind, statement.this)
            return False
        name = identifier(statement.this.this)
        privileges = self._conn.account.privileges
        if kind == "ROLE" and name not in privileges.roles:
            raise cannot_use()
        if kind == "ROLE" and not privileges.has_role(self._conn.user, name):
            message = (
                f"SQL access control error:\nRequested role '{name}' is not assigned to the executing user. "
                "Specify another role to activate."
            )
            raise ProgrammingError(msg=message, errno=3013, sqlstate="42501")
        if kind == "WAREHOUSE" and name not in privileges.warehouses(self._conn.role, "USAGE"):
            raise cannot_use()
        setattr(self._conn, kind.lower(), name)
        self.answer("Statement executed successfully.")
        return True

    def check_use(self, kind: str, named: exp.Expression) -> None:
        if not isinstance(named, exp.Table):
            return
        parts = [identifier(part) for part in named.parts]
        privileges = self._conn.account.privileges
        database = parts[0] if kind == "DATABASE" or len(parts) > 1 else self._conn.database
        path = (database,) if kind == "DATABASE" else (database, parts[-1])
        if self._conn.account.has_database(database or "") and not privileges.may(self._conn.role, "USAGE", path):
            raise cannot_use()

    def show(self, statement: exp.Show) -> bool:
        """What needs no warehouse on Snowflake: the warehouses, and what a database contains."""
        scope, kind = statement.args.get("scope"), statement.args.get("scope_kind")
        database = identifier(scope.this) if scope and kind == "DATABASE" else self._conn.database
        of = f"({text(database)}, {self.roles().sql('duckdb')})"
        name, terse = statement.name, bool(statement.args.get("terse"))
        if name == "WAREHOUSES":
            state = "SUSPENDED" if self._conn.account.faults.demands.get("suspend_warehouse") else "STARTED"
            names = ", ".join(text(each) for each in self._conn.account.privileges.warehouses(self._conn.role))
            like = statement.args.get("like")
            where = f" where name ilike {text(like.name)}" if like else ""
            select = f"select name, {text(state)} as state, 'STANDARD' as type from unnest([{names}]) as t(name){where}"
        elif name == "SCHEMAS" and terse:
            select = (
                "select created as created_on, schema_name as name, null as kind, catalog_name as database_name, "
                f"null as schema_name from {META}._ep_schemata{of}"
            )
        elif name == "SCHEMAS":
            select = (
                "select created as created_on, schema_name as name, 'N' as is_default, 'N' as is_current, "
                "catalog_name as database_name, schema_owner as owner, coalesce(comment, '') as comment, "
                "case when is_transient = 'YES' then 'TRANSIENT' else '' end as options, "
                f"retention_time::varchar as retention_time from {META}._ep_schemata{of}"
            )
        elif name in {"TABLES", "VIEWS"} and kind == "DATABASE":
            figures = ", row_count as rows, bytes" if name == "TABLES" else ""
            select = (
                "select created as created_on, table_name as name, table_catalog as database_name, "
                f"table_schema as schema_name, table_owner as owner, coalesce(comment, '') as comment{figures} "
                f"from {META}._ep_tables{of} where (table_type = 'VIEW') = {'true' if name == 'VIEWS' else 'false'}"
            )
        else:
            return False
        limit = statement.args.get("limit")
        self.run_duckdb(f"{select} order by name" + (f" limit {int(limit.expression.name)}" if limit else ""))
        return True

    def show_parameter(self, name: str) -> None:
        value = text(str(self._conn.parameters.get(name, "")))
        self.run_duckdb(
            f"select {text(name)} as key, {value} as value, '' as \"default\", 'SESSION' as level, '' as description, "
            "'STRING' as type"
        )

    def roles(self) -> exp.Array:
        """The role of the session and those that it inherits."""
        roles = sorted(self._conn.account.privileges.effective(self._conn.role))
        return exp.Array(expressions=[exp.Literal.string(role) for role in roles])

    def _transform(self, expression: exp.Expression, params: Any) -> exp.Expression:
        self.check_case(expression)
        return super()._transform(expression.transform(self.rewrite), params)

    def rewrite(self, node: exp.Expression) -> exp.Expression:
        """What reads the session or INFORMATION_SCHEMA, as DuckDB can answer it."""
        session = self._conn
        if isinstance(node, exp.Create) and node.kind == "TABLE":
            self.hide_temporary(node)
            if isinstance(node.this, exp.Schema) and node.expression is None:
                enforce_what_snowflake_enforces(node.this)
        if type(node) is exp.Div and not node.meta.get("checked"):
            node.meta["checked"] = True
            divisor = node.expression
            if not isinstance(divisor, (exp.Nullif, exp.Literal)) or divisor.sql() == "0":
                zero = exp.EQ(this=exp.paren(divisor.copy()), expression=exp.Literal.number(0))
                error = exp.Anonymous(this="error", expressions=[exp.Literal.string("[100051] Division by zero")])
                node.set("expression", exp.Case(ifs=[exp.If(this=zero, true=error)], default=divisor.copy()))
            return node
        if type(node).__name__ == "HashAgg" or isinstance(node, exp.Anonymous) and node.name.upper() == "HASH_AGG":
            # An order-independent hash of all rows; statements that use it call their table t.
            return exp.Sum(this=exp.Anonymous(this="hash", expressions=[exp.column("t")]))
        if isinstance(node, exp.TryCast) and node.to.this in (
            exp.DataType.Type.TIMESTAMP,
            exp.DataType.Type.TIMESTAMPNTZ,
        ):
            # fakesnow takes it for a cast, which fails where this gives null
            node.set("to", exp.DataType(this=exp.DataType.Type.DATETIME))
            return node
        if isinstance(node, exp.Table) and self.path_of(node) in session.temporary:
            node.set("this", exp.to_identifier(session.temporary[self.path_of(node)], quoted=True))
            return node
        context = {
            exp.CurrentRole: session.role,
            exp.CurrentUser: session.user,
            exp.CurrentWarehouse: session.warehouse,
            exp.CurrentSession: str(session.number),
            exp.CurrentAccount: "LOCAL",
            exp.CurrentRegion: "LOCAL",
        }
        if type(node) in context:
            value = context[type(node)]
            return exp.Null() if value is None else exp.Literal.string(value)
        if isinstance(node, exp.TableFromRows) and isinstance(node.this, exp.Dot):
            call = node.this.expression
            if isinstance(call, exp.Anonymous) and call.name.upper() == "QUERY_HISTORY":
                seen = session.account.privileges.warehouses(session.role, "MONITOR", "OPERATE")
                user = exp.Null() if session.user is None else exp.Literal.string(session.user)
                warehouses = exp.Array(expressions=[exp.Literal.string(each) for each in seen])
                return meta_table("query_history", [*history_arguments(call), user, warehouses], node.args.get("alias"))
        if isinstance(node, exp.Table) and node.db.upper() == "INFORMATION_SCHEMA":
            name = node.name.upper()
            database = exp.Literal.string(identifier(node.args["catalog"]) if node.catalog else session.database or "")
            alias = node.args.get("alias") or exp.TableAlias(this=exp.to_identifier(name))
            if name in {"COLUMNS", "SCHEMATA", "TABLES", "TABLE_STORAGE_METRICS"}:
                return meta_table(name.lower(), [database, self.roles()], alias)
        return node

    def hide_temporary(self, create: exp.Create) -> None:
        """A temporary table belongs to its session, and DuckDB's may not be in a schema: a name that is not used elsewhere."""
        properties = create.args.get("properties")
        temporary = properties and properties.find(exp.TemporaryProperty)
        if temporary:
            temporary.pop()
            table = create.this.this if isinstance(create.this, exp.Schema) else create.this
            path = self.path_of(table)
            self._conn.temporary[path] = f"{path[-1]}${self._conn.number}"

    def path_of(self, table: exp.Table) -> tuple[str | None, str | None, str]:
        database = identifier(table.args["catalog"]) if table.catalog else self._conn.database
        schema = identifier(table.args["db"]) if table.db else self._conn.schema
        return database, schema, identifier(table.this) if isinstance(table.this, exp.Identifier) else ""

    def check_case(self, expression: exp.Expression) -> None:
        """DuckDB takes "dev" for "DEV", Snowflake does not: refuse what only the case of a schema makes work."""
        for table in expression.find_all(exp.Table):
            if table.db and table.db.upper() != "INFORMATION_SCHEMA":
                database = identifier(table.args["catalog"]) if table.catalog else self._conn.database or ""
                schema = identifier(table.args["db"])
                if self._conn.account.has_schema(database, schema, any_case=True) and not self._conn.account.has_schema(
                    database, schema
                ):
                    raise missing("Schema", f"{database}.{schema}")

    def remember(self, statement: exp.Expression | None) -> None:
        """Note when a relation was made or changed, and how many rows a statement wrote."""
        account, session = self._conn.account, self._conn
        session.rows_written = None
        if isinstance(statement, exp.Drop):
            self.forget(statement)
            return
        if isinstance(statement, exp.Alter) and isinstance(statement.this, exp.Table):
            renamed = next((each for each in statement.args.get("actions") or [] if isinstance(each, exp.AlterRename)), None)
            if renamed and isinstance(renamed.this, exp.Table):
                account.moved(self.path_of(statement.this), self.path_of(renamed.this))
            return
        changed = (
            statement.this
            if isinstance(statement, (exp.Create, exp.Insert, exp.Update, exp.Delete, exp.Merge))
            else None
        )
        table = changed.this if isinstance(changed, exp.Schema) else changed
        if not isinstance(table, exp.Table) or not table.name:
            return
        if isinstance(statement, exp.Create) and statement.kind not in {"TABLE", "VIEW"}:
            return
        path = self.path_of(table)
        name = session.temporary.get(path, path[-1])
        is_made = isinstance(statement, exp.Create) and not (session.existed and not statement.args.get("replace"))
        if is_made and path not in session.temporary and statement.kind in {"TABLE", "VIEW"}:
            keeps = statement.find(exp.CopyGrantsProperty) is not None
            owner = account.privileges.made_relation(session.role, path, statement.kind, keeps)
            account.made(*path, statement.find(exp.TransientProperty) is not None, owner, session.kind)
        else:
            account.altered(*path[:2], name)
        if query_type(statement) == "CREATE_TABLE_AS_SELECT":
            (session.rows_written,) = (
                self._duck_conn.cursor().execute(f"select count(*) from {quoted(*path[:2], name)}").fetchone()
            )

    def forget(self, drop: exp.Drop) -> None:
        account = self._conn.account
        for table in drop.args.get("tables") or []:
            if drop.kind == "SCHEMA":
                path = self.full_name([identifier(part) for part in table.parts])
                where = "database_name = ? and schema_name = ?"
            else:
                path = self.path_of(table)
                where = "database_name = ? and schema_name = ? and relation_name = ?"
            if drop.kind in {"SCHEMA", "TABLE", "VIEW"} and not self.exists(path) and path not in self._conn.temporary:
                account.privileges.dropped(path)
                account.meta(f"delete from {META}._ep_relations where {where}", list(path))
                if drop.kind == "SCHEMA":
                    account.meta(f"delete from {META}._ep_schemas where {where}", list(path))


class Session(FakeSnowflakeConnection):
    """One login: fakesnow's connection, and who it is."""

    def __init__(self, account: Account, login: dict[str, Any], **settings: Any):
        super().__init__(
            account.duck_conn.cursor(),
            account.results_cache,
            login["database"],
            login["schema"],
            create_database=False,
            create_schema=False,
            **settings,
        )
        self.account = account
        self.number = secrets.randbelow(2**53)
        self.user, self.role, self.warehouse = login["user"], login["role"], login["warehouse"]
        self.parameters: dict[str, Any] = dict(login["parameters"])
        self.rows_written: int | None = None
        self.existed = False
        # What the statement makes or drops, if it is not a plain table or view.
        self.kind: str | None = None
        self.is_open, self.has_committed = False, False
        self.temporary: dict[tuple[str | None, str | None, str], str] = {}

    def end(self) -> None:
        """Temporary tables go with their session."""
        for (database, schema, _), name in self.temporary.items():
            self._duck_conn.execute(f"drop table if exists {quoted(database or '', schema or '', name)}")

    def cursor(self, cursor_class: Any = None) -> Cursor:
        return Cursor(conn=self, duck_conn=self._duck_conn)


class Account(FakeSnow):
    """The databases, and what is known about them beside DuckDB's own catalogue."""

    def __init__(self, databases: list[str], data: Path | None, faults: Faults, bare: bool):
        super().__init__()
        self.faults = faults
        self.lock = threading.Lock()
        self.logins: list[dict[str, Any]] = []
        self.duck_conn.execute(META_SQL)
        self.meta_conn = self.duck_conn.cursor()
        for database in databases:
            file = str(data) if data and database == databases[0] else ":memory:"
            self.duck_conn.execute(f"attach {text(file)} as {quoted(database)}")
            self.duck_conn.execute(info_schema.per_db_creation_sql(database))
            self.duck_conn.execute(macros.creation_sql(database))
            self.duck_conn.execute(f"create schema if not exists {quoted(database, 'PUBLIC')}")
        self.privileges = Privileges(self.meta, f"{META}._ep_grants", bare)
        for database in [] if bare else databases:
            self.open_database(database, has_registry=database == databases[0])

    def open_database(self, database: str, has_registry: bool) -> None:
        """As sql/snowflake/bootstrap leaves it. What Snowflake shows of itself is granted to no role here."""
        if database == "SNOWFLAKE":
            return
        if has_registry:
            self.duck_conn.execute(f"create schema if not exists {quoted(database, REGISTRY)}")
            self.privileges.share_registry(database)
        own = ("main", "pg_catalog", "information_schema", "_fs_information_schema", REGISTRY)
        names = self.meta("select schema_name from duckdb_schemas() where database_name = ?", [database])
        self.privileges.open_database(database, [name for (name,) in names if name not in own])
        for (_, schema), owner in [each for each in self.privileges.schemas.items() if each[0][0] == database]:
            values = [database, schema, owner, datetime.fromtimestamp(0, timezone.utc)]
            self.meta(f"insert into {META}._ep_schemas values (?, ?, ?, null, 1, false, ?)", values)

    def meta(self, sql: str, values: list[Any] | None = None) -> list[tuple]:
        """Read or write what is known beside the data, outside any session's transaction."""
        with self.lock:
            return self.meta_conn.execute(sql, values or []).fetchall()

    def altered(self, database: str | None, schema: str | None, relation: str) -> None:
        self.meta(
            f"insert into {META}._ep_relations values (?, ?, ?, false, ?, ?, null, null) "
            "on conflict do update set last_altered = excluded.last_altered",
            [database, schema, relation, now(), now()],
        )

    def made(
        self,
        database: str | None,
        schema: str | None,
        relation: str,
        transient: bool,
        owner: str | None,
        kind: str | None = None,
    ) -> None:
        self.meta(
            f"insert or replace into {META}._ep_relations values (?, ?, ?, ?, ?, ?, ?, ?)",
            [database, schema, relation, transient, now(), now(), owner, kind],
        )

    def kind(self, path: tuple) -> str | None:
        """What a relation is, if not a plain table or view."""
        where = "database_name = ? and schema_name = ? and relation_name = ?"
        found = self.meta(f"select kind from {META}._ep_relations where {where}", list(path))
        return found[0][0] if found else None

    def moved(self, old: tuple, new: tuple) -> None:
        self.privileges.renamed(old, new)
        where = "database_name = ? and schema_name = ? and relation_name = ?"
        self.meta(f"delete from {META}._ep_relations where {where}", list(new))
        self.meta(
            f"update {META}._ep_relations set database_name = ?, schema_name = ?, relation_name = ? where {where}",
            [*new, *old],
        )

    def set_owner(self, path: tuple, owner: str) -> None:
        if len(path) == 2:
            where = "database_name = ? and schema_name = ?"
            self.meta(f"update {META}._ep_schemas set owner = ? where {where}", [owner, *path])
        else:
            where = "database_name = ? and schema_name = ? and relation_name = ?"
            self.meta(f"update {META}._ep_relations set owner = ? where {where}", [owner, *path])

    def owner(self, database: str, schema: str, relation: str) -> str | None:
        return self.privileges.owner((database, schema, relation))

    def relations(self, schema: tuple, kind: str) -> list[str]:
        """The names of the tables or views of a schema."""
        column, catalogue = ("view_name", "duckdb_views()") if kind == "VIEW" else ("table_name", "duckdb_tables()")
        where = "database_name = ? and schema_name = ?"
        found = self.meta(f"select {column} from {catalogue} where {where} order by 1", list(schema))
        return [name for (name,) in found if "$" not in name]

    def has_relation(self, database: str | None, schema: str | None, name: str) -> bool:
        where = "where database_name = ? and schema_name = ?"
        tables, views = f"select 1 from duckdb_tables() {where}", f"select 1 from duckdb_views() {where}"
        found = self.meta(
            f"{tables} and table_name = ? union all {views} and view_name = ?", [database, schema, name] * 2
        )
        return bool(found)

    def is_transient(self, database: str, schema: str) -> bool:
        where = "database_name = ? and schema_name = ? and is_transient"
        return bool(self.meta(f"select 1 from {META}._ep_schemas where {where}", [database, schema]))

    def has_database(self, database: str) -> bool:
        return bool(self.meta("select 1 from duckdb_databases() where database_name = ? and not internal", [database]))

    def has_schema(self, database: str, schema: str, any_case: bool = False) -> bool:
        column, value = ("upper(schema_name)", schema.upper()) if any_case else ("schema_name", schema)
        return bool(
            self.meta(f"select 1 from duckdb_schemas() where database_name = ? and {column} = ?", [database, value])
        )

    def record(
        self, session: Session, sql: str, statement: exp.Expression | None, start: datetime, answer: dict[str, Any]
    ) -> None:
        """Write a statement into the history, with the result that the client got."""
        data, end = answer.get("data") or {}, now()
        elapsed = int((end - start).total_seconds() * 1000)
        internal = answer.get("code") == "000603"
        failure = "FAILED_WITH_INCIDENT" if internal else "FAILED_WITH_ERROR"
        succeeded = answer["success"]
        row = {
            "query_id": data.get("queryId"),
            "query_text": sql[:100_000],
            "database_name": session.database if session.database_set else None,
            "schema_name": session.schema if session.schema_set else None,
            "query_type": query_type(statement),
            "session_id": session.number,
            "user_name": session.user,
            "role_name": session.role,
            "warehouse_name": session.warehouse,
            "warehouse_size": "X-Small",
            "warehouse_type": "STANDARD",
            "cluster_number": 1,
            "query_tag": session.parameters.get("QUERY_TAG", ""),
            "execution_status": "SUCCESS" if succeeded else failure,
            "error_code": None if succeeded else answer.get("code"),
            "error_message": None if succeeded else answer.get("message"),
            "start_time": start,
            "end_time": end,
            "total_elapsed_time": elapsed,
            "rows_produced": (data.get("stats") or {}).get("numRowsInserted", data.get("total")) if succeeded else None,
            "execution_time": elapsed,
        }
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        self.meta(f"insert into {META}._ep_history ({names}) values ({marks})", list(row.values()))

    def statements(self) -> list[dict[str, Any]]:
        cursor = self.duck_conn.cursor().execute(f"select * from {META}._ep_history order by end_time")
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row)) for row in cursor.fetchall()]


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


def too_long_tag() -> ProgrammingError:
    message = f"SQL compilation error:\nvalue for parameter 'QUERY_TAG' is longer than {LONGEST_TAG} characters"
    return ProgrammingError(msg=message, errno=1007, sqlstate="22023")


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


def identifier(node: exp.Expression) -> str:
    return node.this if node.args.get("quoted") else str(node.name).upper()


def kept(written: str) -> str:
    """A name as Snowflake keeps it."""
    return written[1:-1].replace('""', '"') if written.startswith('"') else written.upper()


def quoted(*parts: str) -> str:
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def text(value: str | None) -> str:
    return "null::varchar" if value is None else exp.Literal.string(value).sql("duckdb")


def meta_table(name: str, arguments: list[exp.Expression], alias: exp.Expression | None) -> exp.Table:
    catalogue, schema = META.split(".")
    call = exp.Anonymous(this=f"_ep_{name}", expressions=arguments)
    return exp.Table(this=call, db=exp.to_identifier(schema), catalog=exp.to_identifier(catalogue), alias=alias)


def history_arguments(call: exp.Anonymous) -> list[exp.Expression]:
    """The arguments of QUERY_HISTORY in the order of the macro, with Snowflake's defaults."""
    given = {argument.this.name.upper(): argument.expression for argument in call.expressions}
    arguments = [
        given.pop("END_TIME_RANGE_START", exp.Null()),
        given.pop("END_TIME_RANGE_END", exp.Null()),
        given.pop("RESULT_LIMIT", exp.Literal.number(100)),
    ]
    if given:
        message = f"SQL compilation error:\nInvalid argument [{', '.join(given)}] for function 'QUERY_HISTORY'"
        raise ProgrammingError(msg=message, errno=1006, sqlstate="42601")
    return arguments


def mend_fakesnow() -> None:
    """What fakesnow does otherwise than Snowflake, or slowly, and has no setting for."""
    arrow.timestamp_to_sf_struct = with_nulls(arrow.timestamp_to_sf_struct)
    # it sums numbers as doubles in case they are text; on Snowflake a sum of exact numbers is exact
    transforms.numeric_agg_implicit_cast = lambda expression: expression
    # it parses a statement twice, and so would this file
    for module in ("fakesnow.cursor", "fakesnow.server"):
        sys.modules[module].parse_one = lambda sql: parsed_once(sql).copy()
    # its seventy rewrites of a statement copy the whole of it each time, two thirds of the time that it takes
    in_place = exp.Expression.transform
    exp.Expression.transform = lambda self, *args, copy=False, **kwargs: in_place(self, *args, copy=copy, **kwargs)


def with_nulls(encode: Callable[[Any], pyarrow.StructArray]) -> Callable[[Any], pyarrow.StructArray]:
    """fakesnow's encoding of timestamps, in which a null would be the first second of 1970."""

    def encode_with_nulls(timestamps: Any) -> pyarrow.StructArray:
        if isinstance(timestamps, pyarrow.ChunkedArray):
            timestamps = timestamps.combine_chunks()
        struct = encode(timestamps)
        return pyarrow.StructArray.from_arrays(
            [pyarrow.compute.fill_null(child, 0) for child in struct.flatten()],
            fields=list(struct.type),
            mask=pyarrow.compute.is_null(timestamps),
        )

    return encode_with_nulls


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


class Faults:
    """ASGI middleware: requests to the wrapped application fail in the ways that a test demands."""

    COUNTED = ("throttle", "unavailable", "forbidden", "drop_connection")

    def __init__(self) -> None:
        self.demands: dict[str, Any] = {}
        self.released = asyncio.Event()

    def demand(self, demands: dict[str, Any]) -> None:
        if demands.pop("reset", False):
            self.demands.clear()
            self.released.set()
            self.released = asyncio.Event()
        self.demands.update(demands)

    def takes(self, fault: str, kind: str) -> bool:
        """Whether the fault applies to this request; one that is counted is used up by it."""
        wanted = self.demands.get("on") in (None, kind) and kind != "other" and self.demands.get(fault)
        if wanted and fault in self.COUNTED:
            self.demands[fault] -= 1
        return bool(wanted)

    def wrap(self, app: Callable) -> Callable:
        async def faulty(scope: dict, receive: Callable, send: Callable) -> None:
            if scope.get("path", "").startswith("http://"):
                # asked as a proxy: some clients give their identity to hosts of Snowflake's own domain only
                path = urlsplit(scope["path"]).path
                scope = {**scope, "path": path, "raw_path": path.encode()}
            kinds = {"/session/v1/login-request": "login", "/queries/v1/query-request": "query"}
            kind = kinds.get(scope.get("path", ""), "other")
            while self.takes("hang", kind):
                await self.released.wait()
            if self.takes("throttle", kind):
                await Response("too many requests", 429, {"Retry-After": "1"})(scope, receive, send)
            elif self.takes("unavailable", kind):
                await Response("service unavailable", 503)(scope, receive, send)
            elif self.takes("forbidden", kind):
                await Response("forbidden", 403)(scope, receive, send)
            elif self.takes("drop_connection", kind):
                await app(scope, receive, half(send))
            else:
                await app(scope, receive, send)

        return faulty


def half(send: Callable) -> Callable:
    """Sends half of a body whose whole length was promised: the server then closes the connection."""

    async def cut(message: dict) -> None:
        if message["type"] == "http.response.body":
            body = message.get("body", b"")
            message = {**message, "body": body[: len(body) // 2], "more_body": False}
        await send(message)

    return cut


class Endpoint:
    """The HTTP routes."""

    def __init__(self, account: Account, faults: Faults):
        self.account, self.faults = account, faults
        self.running = asyncio.Lock()
        # By request id: Snowflake runs a statement once, however often its request is repeated after a lost answer.
        self.answers: OrderedDict[str, asyncio.Task] = OrderedDict()
        self.cancelled: dict[str, asyncio.Event] = {}

    def app(self) -> Callable:
        own = [
            Route("/session/v1/login-request", self.login, methods=["POST"]),
            Route("/session", self.session, methods=["POST"]),
            Route("/queries/v1/query-request", self.query, methods=["POST"]),
            Route("/queries/v1/abort-request", self.abort, methods=["POST"]),
            Route("/__control", self.control, methods=["POST"]),
            Route("/__control/statements", self.statements),
            Route("/__control/history", self.remember, methods=["POST"]),
            Route("/__control/logins", lambda _: JSONResponse(self.account.logins)),
        ]
        return self.faults.wrap(Starlette(routes=own + routes))

    async def login(self, request: Request) -> JSONResponse:
        data = (await body_of(request))["data"]
        asked = request.query_params
        name = lambda key: kept(asked[key]) if asked.get(key) else None  # noqa: E731
        secret = data.get("TOKEN") or data.get("PASSWORD") or ""
        issuer = str(claims_of(secret).get("iss")) if data.get("AUTHENTICATOR") == "SNOWFLAKE_JWT" else None
        # ACCOUNT.USER.SHA256:FINGERPRINT; some drivers name the user only there
        signed_for = issuer.split(".")[1:2] if issuer else []
        login = {
            "account": data.get("ACCOUNT_NAME"),
            "user": (data.get("LOGIN_NAME") or "".join(signed_for)).upper() or None,
            "authenticator": data.get("AUTHENTICATOR") or "SNOWFLAKE",
            "provider": data.get("PROVIDER"),
            "issuer": issuer,
            "at": now().timestamp(),
            "expires": claims_of(secret).get("exp") if data.get("AUTHENTICATOR") == "WORKLOAD_IDENTITY" else None,
            "secret_sha256": hashlib.sha256(secret.encode()).hexdigest() if secret else None,
            "role": name("roleName"),
            "warehouse": name("warehouse"),
            "database": name("databaseName"),
            "schema": name("schemaName"),
            "client": data.get("CLIENT_APP_ID"),
            "parameters": {key.upper(): value for key, value in (data.get("SESSION_PARAMETERS") or {}).items()},
        }
        self.account.logins.append(login)
        identified = self.identify(login, claims_of(secret))
        failure = self.login_failure(login) or (None if identified else ("395090", LOGIN_FAILURES["395090"]))
        if failure:
            code, message = failure
            return JSONResponse(
                {"data": {"authnMethod": "USERNAME_PASSWORD"}, "code": code, "message": message, "success": False}
            )
        autocommit = login["parameters"].get("AUTOCOMMIT", True)
        session = Session(self.account, login, autocommit=autocommit)
        token = secrets.token_urlsafe(32)
        sessions[token] = session
        parameters = {
            "AUTOCOMMIT": autocommit,
            "CLIENT_SESSION_KEEP_ALIVE_HEARTBEAT_FREQUENCY": 3600,
            "CLIENT_STAGE_ARRAY_BINDING_THRESHOLD": 0,
            "TIMEZONE": "Etc/UTC",
        }
        return JSONResponse(
            {
                "data": {
                    "token": token,
                    "masterToken": secrets.token_urlsafe(32),
                    "validityInSeconds": 3600,
                    "masterValidityInSeconds": 14400,
                    "sessionId": session.number,
                    "serverVersion": SERVER_VERSION,
                    "parameters": [{"name": key, "value": value} for key, value in parameters.items()],
                    "sessionInfo": {
                        "databaseName": session.database if session.database_set else None,
                        "schemaName": session.schema if session.schema_set else None,
                        "warehouseName": session.warehouse,
                        "roleName": session.role,
                    },
                },
                "success": True,
            }
        )

    def identify(self, login: dict[str, Any], claims: dict[str, Any]) -> bool:
        """Complete a login by its user's defaults; whether a workload identity is one of a user."""
        privileges = self.account.privileges
        known = True
        if login["authenticator"] == "WORKLOAD_IDENTITY":
            known, login["user"] = privileges.users.identified(login["user"], claims)
        is_made = privileges.users.is_made(login["user"])
        role = "PUBLIC" if is_made else DEFAULT_ROLE
        login["role"] = login["role"] or privileges.users.default(login["user"], "role") or role
        usable = None if is_made else next(iter(privileges.warehouses(login["role"], "USAGE")), None)
        login["warehouse"] = login["warehouse"] or privileges.users.default(login["user"], "warehouse") or usable
        return known

    def login_failure(self, login: dict[str, Any]) -> tuple[str, str] | None:
        if demanded := self.faults.demands.get("fail_login"):
            return demanded, LOGIN_FAILURES[demanded].format(**login, wanting="database")
        if login["authenticator"] == "SNOWFLAKE_JWT":
            # whose key it was cannot be known here, but whether the token has the form that Snowflake wants
            account = (login["account"] or "").split(".")[0].upper()
            if not login["issuer"].startswith(f"{account}.{login['user']}.SHA256:"):
                return "390144", LOGIN_FAILURES["390144"]
        if not self.account.privileges.has_role(login["user"], login["role"]):
            return "390189", LOGIN_FAILURES["390189"].format(**login)
        if login["expires"] is not None and login["expires"] <= login["at"]:
            return "390303", LOGIN_FAILURES["390303"]
        validates = str(login["parameters"].get("CLIENT_VALIDATE_DEFAULT_PARAMETERS", "")).lower() == "true"
        database = login["database"]
        if validates and database and not (
            self.account.has_database(database) and self.account.privileges.sees(login["role"], (database,))
        ):
            return "390201", LOGIN_FAILURES["390201"].format(wanting="database")
        if login["warehouse"] not in self.account.privileges.warehouses(login["role"], "USAGE"):
            if validates and login["warehouse"]:
                return "390201", LOGIN_FAILURES["390201"].format(wanting="warehouse")
            login["warehouse"] = None
        return None

    async def session(self, request: Request) -> Response:
        ending = sessions.get(request.headers.get("Authorization", "")[17:-1])
        if ending and request.query_params.get("delete"):
            ending.end()
        return await session(request)

    async def query(self, request: Request) -> Response:
        request_id = request.query_params.get("requestId", str(uuid.uuid4()))
        if request_id not in self.answers:
            self.answers[request_id] = asyncio.create_task(self.run(request, request_id))
            while len(self.answers) > 512:
                self.answers.popitem(last=False)
        answer, status = await asyncio.shield(self.answers[request_id])
        return JSONResponse(answer, status)

    async def run(self, request: Request, request_id: str) -> tuple[dict[str, Any], int]:
        body = await body_of(request)
        sql, start = body["sqlText"], now()
        statement = parse(sql)
        session = sessions.get(request.headers.get("Authorization", "")[17:-1])
        if session is None:
            return {
                "data": None,
                "code": "390104",
                "message": "User must login again to access the service.",
                "success": False,
            }, 401
        session.parameters.update({key.upper(): value for key, value in (body.get("parameters") or {}).items()})
        failure = await self.statement_failure(sql, statement, request_id)
        if len(session.parameters.get("QUERY_TAG") or "") > LONGEST_TAG:
            failure = "001007", too_long_tag().raw_msg, "22023"
        count = statements_in(sql)
        if not failure and count == 0:
            # an error of HTTP would be repeated by clients for ever
            failure = "001003", "SQL compilation error:\nparse error: a text or a name is not closed", "42000"
        elif not failure and count > 1:
            message = f"Actual statement count {count} did not match the desired statement count 1."
            failure = "000008", message, "0A000"
        if failure:
            answer = failed(*failure)
        else:
            async with self.running:
                answer = await self.execute(request)
        answer["data"] = answer.get("data") or {}
        answer["data"].setdefault("queryId", str(uuid.uuid4()))
        if answer["success"]:
            add_statistics(answer["data"], session, statement)
        if not body.get("describeOnly"):
            self.account.record(session, sql, statement, start, answer)
        return answer, 200

    async def execute(self, request: Request) -> dict[str, Any]:
        """What fakesnow answers; what it cannot do is an error of the statement, not of HTTP, which clients repeat."""
        try:
            response = await query_request(request)
        except Exception as error:  # noqa: BLE001
            return failed("000603", f"SQL execution internal error:\n{error!r}", "XX000")
        answer = json.loads(response.body)
        if response.status_code == 500:
            return failed("000603", f"SQL execution internal error:\n{answer.get('message')}", "XX000")
        return answer

    async def statement_failure(
        self, sql: str, statement: exp.Expression | None, request_id: str
    ) -> tuple[str, ...] | None:
        demands = self.faults.demands
        if demands.get("delay") and demands.get("containing", "").lower() in sql.lower():
            cancelled = self.cancelled.setdefault(request_id, asyncio.Event())
            try:
                await asyncio.wait_for(cancelled.wait(), demands["delay"])
                return "000604", "SQL execution canceled", "57014"
            except asyncio.TimeoutError:
                pass
        if demands.get("fail_statement") and demands["fail_statement"].lower() in sql.lower():
            del demands["fail_statement"]
            return "003001", "SQL access control error:\nInsufficient privileges", "42501"
        if demands.get("fail_write") and is_write(sql):
            demands["fail_write"] -= 1
            if demands["fail_write"] == 0:
                return "003001", "SQL access control error:\nInsufficient privileges", "42501"
        if demands.get("suspend_warehouse") and query_type(statement) in NEEDS_WAREHOUSE and statement.find(exp.Table):
            return "000606", NO_WAREHOUSE, "57P03"
        return None

    async def abort(self, request: Request) -> JSONResponse:
        request_id = (await body_of(request)).get("requestId", "")
        self.cancelled.setdefault(request_id, asyncio.Event()).set()
        return JSONResponse({"success": True})

    async def control(self, request: Request) -> JSONResponse:
        self.faults.demand(await request.json())
        return JSONResponse(self.faults.demands)

    async def remember(self, request: Request) -> JSONResponse:
        select = (await request.body()).decode()
        self.account.meta(f"insert into {META}._ep_history by name {select}")
        self.account.meta(f"update {META}._ep_history set warehouse_name = 'SMALL_WH' where warehouse_name is null")
        return JSONResponse({})

    async def statements(self, _: Request) -> Response:
        return Response(json.dumps(self.account.statements(), default=str), media_type="application/json")


def is_write(sql: str) -> bool:
    words = sql.lower().split()
    if not words or words[0] in {"select", "show", "use", "describe"} or words[:2] == ["alter", "session"]:
        return False
    return "lock_" not in sql.lower()


async def body_of(request: Request) -> dict[str, Any]:
    body = await request.body()
    return json.loads(gzip.decompress(body) if request.headers.get("Content-Encoding") == "gzip" else body)


def claims_of(token: str) -> dict[str, Any]:
    """The claims of a JWT; nothing if it is not one."""
    try:
        body = token.split(".")[1]
        return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (IndexError, ValueError):
        return {}


def failed(code: str, message: str, sqlstate: str) -> dict[str, Any]:
    return {"data": {"errorCode": code, "sqlState": sqlstate}, "code": code, "message": message, "success": False}


def add_statistics(data: dict[str, Any], session: Session, statement: exp.Expression | None) -> None:
    """How many rows a statement wrote, if Snowflake reports it: clients report it as the rows affected."""
    kind = query_type(statement)
    if kind == "CREATE_TABLE_AS_SELECT" and session.rows_written is not None:
        data["stats"] = {"numRowsInserted": session.rows_written}
    elif kind in {"INSERT", "UPDATE", "DELETE"} and data.get("rowset"):
        counted = {"INSERT": "numRowsInserted", "UPDATE": "numRowsUpdated", "DELETE": "numRowsDeleted"}
        data["stats"] = {counted[kind]: int(data["rowset"][0][0])}


def end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


async def serve(port: int, databases: list[str], data: Path | None, bare: bool) -> None:
    faults = Faults()
    endpoint = Endpoint(Account(databases, data, faults, bare), faults)
    listener = socket.create_server(("127.0.0.1", port))
    # asyncio sees to this for sockets that it opened: else a body waits 40 ms for its head to be acknowledged
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(endpoint.app(), log_level="critical", lifespan="off", timeout_keep_alive=60)
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    await uvicorn.Server(config).serve(sockets=[listener])


def main() -> None:
    arguments = argparse.ArgumentParser(description="A local Snowflake for tests.")
    arguments.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    arguments.add_argument("--data", type=Path, help="keep the first database in this DuckDB file")
    arguments.add_argument("--database", action="append", help=f"a database of the account; default {DATABASE}")
    arguments.add_argument("--bare", action="store_true", help="only the roles of a new account, without any grant")
    given = arguments.parse_args()
    # a statement's error is returned to its client and recorded in the history
    logging.disable(logging.CRITICAL)
    mend_fakesnow()
    threading.Thread(target=end_with_parent, daemon=True).start()
    asyncio.run(serve(given.port, given.database or [DATABASE], given.data, given.bare))


if __name__ == "__main__":
    main()
