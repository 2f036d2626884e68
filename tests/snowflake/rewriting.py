"""Statements rewritten for DuckDB: what fakesnow's own rewrites leave out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from catalogue import history_arguments, meta_table
from fakesnow.cursor import FakeSnowflakeCursor
from privileges import missing
from sqlglot import exp
from statements import enforce_what_snowflake_enforces, identifier

if TYPE_CHECKING:
    from sessions import Session


class Rewriting(FakeSnowflakeCursor):
    """A cursor that has its statements rewritten."""

    _conn: Session

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
