"""Roles, owners and grants of the local endpoint: no role may do what was not granted to it.

As Snowflake documents it: a role has the privileges of the roles that are granted to it; the role that creates
something owns it; a clone of a schema keeps the owners, the grants and the future grants inside it, and a replaced
table loses its grants; a schema with managed access lets only its owner grant. INFORMATION_SCHEMA shows what a role
may use. A warehouse computes for roles with USAGE, and shows its history to those with MONITOR or OPERATE. Secondary
roles are not active, and ACCOUNTADMIN may do everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from grants import Grant
from snowflake.connector.errors import ProgrammingError
from sqlglot import exp
from users import Users

Path = tuple[str, ...]

REGISTRY = "XTASK_REGISTRY"
BUILDERS = ("BUILDER", "PROD_BUILDER", "LOGISTICS_BUILDER", "LOGISTICS_PROD_BUILDER")

# The roles of a new account, each with the roles granted to it.
SYSTEM_ROLES = {
    "PUBLIC": set(),
    "USERADMIN": set(),
    "SECURITYADMIN": {"USERADMIN"},
    "SYSADMIN": set(),
    "ACCOUNTADMIN": {"SECURITYADMIN", "SYSADMIN"},
}
# Those of sql/snowflake/bootstrap, and the same with shorter names.
ROLES = {
    **SYSTEM_ROLES,
    "SYSADMIN": {*BUILDERS},
    "READER": set(),
    "WRITER": set(),
    "LOGISTICS_READER": set(),
    "LOGISTICS_WRITER": set(),
    "LOGISTICS_REGISTRY": set(),
    **{role: {"LOGISTICS_REGISTRY", "LOGISTICS_READER"} for role in BUILDERS},
}
DATABASE_OWNER = "SYSADMIN"
# Warehouses are owned and granted as schemas are, in a database that no name can reach.
OF_WAREHOUSES = "@WAREHOUSE"
WAREHOUSES = ("LOGISTICS_WH", "SMALL_WH")
# Who creates what belongs to no database.
CREATORS = {"ROLE": "USERADMIN", "USER": "USERADMIN", "WAREHOUSE": "SYSADMIN", "DATABASE": "SYSADMIN"}


def missing(kind: str, name: str) -> ProgrammingError:
    """Snowflake's answer to a name that does not exist, or that the role may not see."""
    message = f"SQL compilation error:\n{kind} '{name}' does not exist or not authorized."
    return ProgrammingError(msg=message, errno=2003, sqlstate="02000")


def refused(kind: str, name: str) -> ProgrammingError:
    """The answer to a role that may see something, and may not do this with it."""
    message = f"SQL access control error:\nInsufficient privileges to operate on {kind.lower()} '{name}'"
    return ProgrammingError(msg=message, errno=3001, sqlstate="42501")


def cannot_use() -> ProgrammingError:
    """The answer of USE, and of SHOW in a schema, to a name that the role may not use."""
    message = "SQL compilation error:\nObject does not exist, or operation cannot be performed."
    return ProgrammingError(msg=message, errno=2043, sqlstate="02000")


class Privileges:
    """What each role may do."""

    def __init__(self, meta: Callable[[str, list[Any]], list[tuple]], table: str, bare: bool):
        self.meta, self.table = meta, table
        self.roles = {role: set(granted) for role, granted in (SYSTEM_ROLES if bare else ROLES).items()}
        self.schemas: dict[Path, str] = {}
        self.managed: set[Path] = set()
        self.relations: dict[Path, str] = {}
        self.grants: set[tuple[str, str, Path]] = set()
        self.future: set[tuple[str, str, str, Path]] = set()
        self.users = Users()
        for name in () if bare else WAREHOUSES:
            self.make_warehouse("SYSADMIN", name)
            for role in BUILDERS:
                self.give(role, "MONITOR", (OF_WAREHOUSES, name))
            for role in (*BUILDERS, "READER", "WRITER", "LOGISTICS_READER", "LOGISTICS_WRITER"):
                self.give(role, "USAGE", (OF_WAREHOUSES, name))

    def open_database(self, database: str, schemas: Iterable[str]) -> None:
        """The grants of the bootstrap for a database, in which `schemas` exist already."""
        for role in BUILDERS:
            self.give(role, "USAGE", (database,))
            self.give(role, "CREATE SCHEMA", (database,))
        self.give("LOGISTICS_READER", "USAGE", (database,))
        for role in ("READER", "WRITER", "LOGISTICS_WRITER"):
            self.give(role, "USAGE", (database,))
        for schema in schemas:
            self.schemas[(database, schema)] = BUILDERS[0]
        self.schemas[(database, "PUBLIC")] = BUILDERS[0]

    def share_registry(self, database: str) -> None:
        """The registry of the bootstrap, with a role that all builders have."""
        self.schemas[(database, REGISTRY)] = "LOGISTICS_REGISTRY"
        self.future.add(("LOGISTICS_REGISTRY", "OWNERSHIP", "TABLE", (database, REGISTRY)))

    # Warehouses and users

    def make_warehouse(self, role: str | None, name: str) -> None:
        self.schemas.setdefault((OF_WAREHOUSES, name), role or DATABASE_OWNER)

    def warehouses(self, role: str | None, *privileges: str) -> list[str]:
        """Those on which the role has one of these privileges; without any, those that it sees."""
        names = sorted(name for database, name in self.schemas if database == OF_WAREHOUSES)
        if not privileges:
            return [name for name in names if self.sees(role, (OF_WAREHOUSES, name))]
        return [name for name in names if any(self.may(role, each, (OF_WAREHOUSES, name)) for each in privileges)]

    def has_role(self, user: str | None, role: str) -> bool:
        """Whether the user may use the role."""
        if role not in self.roles or not self.users.is_made(user):
            return role in self.roles
        granted = self.users.roles[user or ""]
        return role == "PUBLIC" or any(role in self.effective(each) for each in granted)

    # Questions

    def effective(self, role: str | None) -> set[str]:
        """The role with all that it inherits."""
        found, open_ = {"PUBLIC"}, [role] if role else []
        while open_:
            each = open_.pop()
            if each not in found or each == role:
                found.add(each)
                open_.extend(self.roles.get(each, set()) - found)
        return found

    def owner(self, path: Path) -> str | None:
        if len(path) == 1:
            return DATABASE_OWNER
        if len(path) == 2:
            return self.schemas.get(path, DATABASE_OWNER)
        return self.relations.get(path) or self.schemas.get(path[:2], DATABASE_OWNER)

    def owns(self, role: str | None, path: Path) -> bool:
        roles = self.effective(role)
        return "ACCOUNTADMIN" in roles or self.owner(path) in roles

    def may(self, role: str | None, privilege: str, path: Path) -> bool:
        roles = self.effective(role)
        wanted = {privilege, "ALL", "ALL PRIVILEGES"}
        return self.owns(role, path) or any(
            each in roles and given in wanted and on == path for each, given, on in self.grants
        )

    def sees(self, role: str | None, path: Path) -> bool:
        roles = self.effective(role)
        return self.owns(role, path) or any(each in roles and on == path for each, _, on in self.grants)

    def require(self, role: str | None, privilege: str, path: Path, kind: str = "Object") -> None:
        parents = path[:-1] if len(path) > 1 else ()
        if not all(self.may(role, "USAGE", path[: at + 1]) for at in range(len(parents))):
            raise missing(kind, ".".join(path))
        if privilege == "OWNERSHIP":
            allowed = self.owns(role, path)
        else:
            allowed = self.may(role, privilege, path)
        if not allowed:
            raise refused(kind, path[-1]) if self.sees(role, path) else missing(kind, ".".join(path))

    def require_creator(self, role: str | None, kind: str) -> None:
        if not {CREATORS[kind], "ACCOUNTADMIN"} & self.effective(role):
            raise refused("account", "LOCAL")

    def manages(self, role: str | None) -> bool:
        return bool({"SECURITYADMIN", "ACCOUNTADMIN"} & self.effective(role))

    def check(
        self,
        role: str | None,
        statement: exp.Expression,
        path_of: Callable[[exp.Table], Path],
        exists: Callable[[Path], bool],
    ) -> None:
        """Refuse what the role may not do."""
        target = statement.args.get("this")
        target = target.this if isinstance(target, exp.Schema) else target
        target = target if isinstance(target, exp.Table) else None
        if isinstance(statement, exp.Create):
            self.check_create(role, statement, target, path_of, exists)
        elif isinstance(statement, exp.Drop):
            for table in statement.args.get("tables") or []:
                path = schema_path(table, path_of) if statement.kind == "SCHEMA" else path_of(table)
                if statement.kind in {"SCHEMA", "TABLE", "VIEW"} and exists(path):
                    self.require(role, "OWNERSHIP", path, statement.kind.title())
            return
        elif isinstance(statement, (exp.Alter, exp.Comment)) and target and target.name:
            kind = str(statement.args.get("kind") or "").upper()
            path = schema_path(target, path_of) if kind == "SCHEMA" else path_of(target)
            if exists(path):
                self.require(role, "OWNERSHIP", path, kind.title() or "Object")
        elif isinstance(statement, exp.TruncateTable):
            for table in statement.expressions:
                self.require(role, "TRUNCATE", path_of(table), "Table")
            return
        else:
            needed = {
                exp.Insert: ["INSERT"],
                exp.Copy: ["INSERT"],
                exp.Update: ["UPDATE"],
                exp.Delete: ["DELETE"],
                exp.Merge: ["INSERT", "UPDATE"],
            }
            for privilege in needed.get(type(statement), []):
                if target and exists(path_of(target)):
                    self.require(role, privilege, path_of(target), "Table")
        self.check_reads(role, statement, target, path_of, exists)

    def check_create(
        self,
        role: str | None,
        create: exp.Create,
        target: exp.Table | None,
        path_of: Callable[[exp.Table], Path],
        exists: Callable[[Path], bool],
    ) -> None:
        if not target or create.kind in {"SCHEMA", "DATABASE"}:
            return
        path = path_of(target)
        schema = path[:2]
        if not exists(schema):
            return
        if create.find(exp.TemporaryProperty) and create.kind in {"TABLE", "STAGE"}:
            return self.require(role, "USAGE", schema, "Schema")
        self.require(role, "USAGE", schema, "Schema")
        if not self.may(role, f"CREATE {create.kind}", schema):
            raise refused("schema", schema[-1])
        if create.args.get("replace") and exists(path) and not self.owns(role, path):
            raise refused(create.kind, path[-1])
        return None

    def check_reads(
        self,
        role: str | None,
        statement: exp.Expression,
        target: exp.Table | None,
        path_of: Callable[[exp.Table], Path],
        exists: Callable[[Path], bool],
    ) -> None:
        named = {cte.alias_or_name.upper() for cte in statement.find_all(exp.CTE)}
        for table in statement.find_all(exp.Table):
            if table is target or not isinstance(table.this, exp.Identifier):
                continue
            if not table.db and table.name.upper() in named:
                continue
            path = path_of(table)
            if table.db.upper() == "INFORMATION_SCHEMA":
                if path[0] and not self.may(role, "USAGE", path[:1]):
                    raise missing("Database", path[0])
            elif all(path) and exists(path):
                self.require(role, "SELECT", path)

    # Changes

    def give(self, role: str, privilege: str, path: Path) -> None:
        self.grants.add((role, privilege, path))
        database, schema, relation = (*path, None, None)[:3]
        self.meta(f"insert into {self.table} values (?, ?, ?, ?, ?)", [role, privilege, database, schema, relation])

    def take(self, role: str, privilege: str, path: Path) -> None:
        """`all privileges` takes everything."""
        everything = privilege in {"ALL", "ALL PRIVILEGES"}
        gone = {
            grant for grant in self.grants if grant[0] == role and grant[2] == path and (everything or grant[1] == privilege)
        }
        self.forget_grants(gone)

    def forget_grants(self, gone: set[tuple[str, str, Path]]) -> None:
        self.grants -= gone
        for role, privilege, path in gone:
            database, schema, relation = (*path, None, None)[:3]
            self.meta(
                f"delete from {self.table} where role_name = ? and privilege = ? and database_name = ? "
                "and schema_name is not distinct from ? and object_name is not distinct from ?",
                [role, privilege, database, schema, relation],
            )

    def made_schema(self, role: str | None, path: Path, managed: bool) -> None:
        self.dropped(path)
        self.schemas[path] = role or DATABASE_OWNER
        if managed:
            self.managed.add(path)

    def made_relation(self, role: str | None, path: Path, kind: str, keeps_grants: bool = False) -> str:
        """The owner of a new or replaced relation."""
        if not keeps_grants:
            self.forget_grants({grant for grant in self.grants if grant[2] == path})
        owner = role or DATABASE_OWNER
        for receiver, privilege, of, schema in self.future.copy():
            if of == kind and schema == path[:2]:
                if privilege == "OWNERSHIP":
                    owner = receiver
                else:
                    self.give(receiver, privilege, path)
        self.relations[path] = owner
        return owner

    def cloned_schema(self, source: Path, target: Path) -> None:
        """What is inside keeps its owners and grants, and new things get the same future grants."""
        for role, privilege, path in self.grants.copy():
            if len(path) == 3 and path[:2] == source:
                self.give(role, privilege, (*target, path[2]))
        self.future |= {(*future[:3], target) for future in self.future if future[3] == source}
        self.relations |= {(*target, path[2]): owner for path, owner in self.relations.items() if path[:2] == source}

    def dropped(self, path: Path) -> None:
        """Forget a schema or a relation with all below it."""
        at = len(path)
        self.forget_grants({grant for grant in self.grants if grant[2][:at] == path})
        self.future = {future for future in self.future if future[3][:at] != path}
        self.relations = {each: owner for each, owner in self.relations.items() if each[:at] != path}
        if at == 2:
            self.schemas.pop(path, None)
            self.managed.discard(path)

    def drop_role(self, name: str) -> None:
        self.roles.pop(name, None)
        for granted in (*self.roles.values(), *self.users.roles.values()):
            granted.discard(name)
        self.forget_grants({grant for grant in self.grants if grant[0] == name})
        self.future = {future for future in self.future if future[0] != name}

    def renamed(self, old: Path, new: Path) -> None:
        if old in self.relations:
            self.relations[new] = self.relations.pop(old)
        for role, privilege, path in [grant for grant in self.grants if grant[2] == old]:
            self.take(role, privilege, path)
            self.give(role, privilege, new)

    def apply(
        self, role: str | None, grant: Grant, full: Callable[[list[str]], Path], relations: Callable[[Path, str], list[str]]
    ) -> list[tuple[Path, str]]:
        """Grant or revoke. `full` completes the name of a schema, `relations` lists the tables or views in one. Returns
        what has a new owner."""
        if not grant.to_user and not grant.to_database_role and grant.receiver not in self.roles:
            raise missing("Role", grant.receiver)
        if grant.roles:
            self.grant_roles(role, grant)
            return []
        if grant.kind == "WAREHOUSE":
            path = (OF_WAREHOUSES, grant.path[-1])
            if path not in self.schemas:
                raise missing("Warehouse", grant.path[-1])
            self.check_grantor(role, path)
            self.change(grant, [path])
            return []
        if grant.kind in {"MONITOR", "ACCOUNT", "INTEGRATION", "USER", "ROLE"}:
            return []
        if grant.kind == "DATABASE" or grant.container == "DATABASE":
            path = (grant.path[-1],)
            if not grant.which:
                full([*path, "PUBLIC"])
                self.check_grantor(role, path)
                self.change(grant, [path])
            return []
        if grant.container == "SCHEMA" or grant.kind == "SCHEMA":
            schema = full(grant.path)
        else:
            schema = full(grant.path[:-1])
        if grant.kind == "SCHEMA":
            self.check_grantor(role, schema)
            return self.change(grant, [schema])
        if not grant.which:
            path = (*schema, grant.path[-1])
            if grant.path[-1] not in relations(schema, grant.kind):
                raise missing(grant.kind.title(), ".".join(path))
            self.check_grantor(role, path)
            return self.change(grant, [path])
        self.check_grantor(role, schema)
        if grant.which == "ALL":
            paths = [(*schema, name) for name in relations(schema, grant.kind)]
            return self.change(grant, paths)
        if schema not in self.managed and not self.manages(role):
            raise refused("schema", schema[-1])
        for privilege in grant.privileges:
            future = (grant.receiver, privilege, grant.kind, schema)
            self.future.add(future) if grant.gives else self.future.discard(future)
        return []

    def grant_roles(self, role: str | None, grant: Grant) -> None:
        if not {"USERADMIN", "SECURITYADMIN", "ACCOUNTADMIN"} & self.effective(role):
            raise refused("role", grant.roles[0])
        for each in grant.roles:
            if grant.is_database_role or grant.to_database_role:
                continue
            if each not in self.roles:
                raise missing("Role", each)
            if grant.to_user and not self.users.is_made(grant.receiver):
                raise missing("User", grant.receiver)
            given = (self.users.roles if grant.to_user else self.roles)[grant.receiver]
            given.add(each) if grant.gives else given.discard(each)

    def check_grantor(self, role: str | None, path: Path) -> None:
        """The owner grants; in a schema with managed access that of the schema."""
        if self.manages(role):
            return
        schema = path[:2]
        decides = schema if len(path) > 2 and schema in self.managed else path
        if not self.owns(role, decides):
            kind = ("database", "schema", "object")[len(path) - 1]
            raise refused(kind, path[-1]) if self.sees(role, path) else missing(kind.title(), ".".join(path))

    def change(self, grant: Grant, paths: list[Path]) -> list[tuple[Path, str]]:
        owned = []
        for path in paths:
            for privilege in grant.privileges:
                if privilege == "OWNERSHIP":
                    if not grant.keeps:
                        self.forget_grants({each for each in self.grants if each[2] == path})
                    owners = self.schemas if len(path) == 2 else self.relations
                    owners[path] = grant.receiver
                    owned.append((path, grant.receiver))
                elif grant.gives:
                    self.give(grant.receiver, privilege, path)
                else:
                    self.take(grant.receiver, privilege, path)
        return owned


def schema_path(target: exp.Table, path_of: Callable[[exp.Table], Path]) -> Path:
    """The path of a schema, which the parser takes for a table without its database or in it."""
    parts = [part.this if part.args.get("quoted") else str(part.name).upper() for part in target.parts]
    database = parts[-2] if len(parts) > 1 else path_of(exp.to_table("x"))[0]
    return (database, parts[-1])
