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
import gzip
import hashlib
import json
import logging
import os
import secrets
import socket
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from catalogue import META, Account
from failures import LONGEST_TAG, too_long_tag
from fakes import correct_fakesnow
from fakesnow.server import SERVER_VERSION, query_request, routes, session, sessions
from faults import Faults
from sessions import NEEDS_WAREHOUSE, NO_WAREHOUSE, Session
from sqlglot import exp
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from statements import is_write, kept, now, parse, query_type, statements_in

DATABASE = "LOGISTICS_DEMO"
# Of users that were not made, if their login names none.
DEFAULT_ROLE = "BUILDER"

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
    correct_fakesnow()
    threading.Thread(target=end_with_parent, daemon=True).start()
    asyncio.run(serve(given.port, given.database or [DATABASE], given.data, given.bare))


if __name__ == "__main__":
    main()
