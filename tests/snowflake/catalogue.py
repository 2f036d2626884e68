"""The databases of an account, and what is known about them beside DuckDB's own catalogue."""

from __future__ import annotations

import threading
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kinds
from fakesnow import info_schema, macros
from fakesnow.instance import FakeSnow
from privileges import REGISTRY, Privileges
from snowflake.connector.errors import ProgrammingError
from sqlglot import exp
from statements import now, query_type, quoted, text

if TYPE_CHECKING:
    from faults import Faults
    from sessions import Session

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
        case when e.kind = '{kinds.DYNAMIC}' then 'YES' else 'NO' end as is_dynamic,
        case when e.kind = '{kinds.ICEBERG}' then 'YES' else 'NO' end as is_iceberg,
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
