"""Sessions, and the statements that they run: those that fakesnow or DuckDB cannot run are run or rewritten here."""

from __future__ import annotations

import re
import secrets
from typing import Any

import duckdb
import kinds
import sqlglot
from catalogue import META, Account
from failures import LONGEST_TAG, in_snowflakes_words, snowflake_error, too_long_tag
from fakesnow.conn import FakeSnowflakeConnection
from grants import Grant
from privileges import OF_WAREHOUSES, cannot_use, missing, refused
from rewriting import Rewriting
from snowflake.connector.errors import ProgrammingError
from sqlglot import exp
from statements import (
    NAME,
    SchemaStatement,
    identifier,
    kept,
    now,
    parse,
    query_type,
    quoted,
    text,
)

OF_THE_ACCOUNT = {"WAREHOUSE", "ROLE", "USER", "NETWORK", "RESOURCE"}

# What `alter session` may set, besides the many that only format results.
PARAMETERS = re.compile(
    "AUTOCOMMIT|QUERY_TAG|TIMEZONE|WEEK_START|JSON_INDENT|LOCK_TIMEOUT|ROWS_PER_RESULTSET|MULTI_STATEMENT_COUNT|"
    "USE_CACHED_RESULT|ABORT_DETACHED_QUERY|STATEMENT_(QUEUED_)?TIMEOUT_IN_SECONDS|QUOTED_IDENTIFIERS_IGNORE_CASE|"
    "S3_STAGE_VPCE_DNS_NAME|(CLIENT|DATE|TIME|TIMESTAMP|BINARY|GEOGRAPHY|ERROR_ON|PYTHON|TRANSACTION)_[A-Z_]+"
)

NO_WAREHOUSE = (
    "No active warehouse selected in the current session.  Select an active warehouse with the 'use warehouse' command."
)
NEEDS_WAREHOUSE = {"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "CREATE_TABLE_AS_SELECT"}


class Cursor(Rewriting):
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
            kinds.check_clone(self._conn.kind, self._conn.account.kind(self.path_of(statement.args["clone"].this)))
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
