"""Runs dbt so that it never outlives the process that started it, and without work that was not asked for.

Standard input is a pipe that the parent holds open. Its end means that the parent wants dbt to stop, or
was killed: the operating system closes the pipe either way, so this needs no signal handler in the
parent and works on every system. dbt gets an interrupt first, so that it can cancel its queries, and a
few seconds later the process ends whatever it is doing.

Before dbt writes anything, the relations that it will write go to the parent as one line of JSON, and dbt
waits for a byte on standard input. A parent that sees a relation outside the environment closes the pipe.

The rest takes a sixth off a small build. It changes no result, and
where a dbt of another version has no such place, it changes nothing.
"""

import contextlib
import functools
import gc
import json
import os
import signal
import sys
import threading
import time

GRACE_SECONDS = 3
TOKEN_SECONDS = 60


asked = threading.Event()
allowed = threading.Event()


def follow_parent():
    while os.read(0, 1):
        allowed.set()
    if asked.is_set() and not allowed.is_set():
        # Nothing has been written yet, so there is nothing to clean up.
        os._exit(130)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(GRACE_SECONDS)
    os._exit(130)


def relation(node):
    config = node.config
    return {
        "id": node.unique_id,
        "file": node.original_file_path,
        "database": node.database,
        "schema": node.schema,
        "name": node.alias,
        "relation_name": getattr(node, "relation_name", None),
        "materialized": config.get("materialized"),
        "location": config.get("location") if config.get("materialized") == "external" else None,
    }


def is_written(node):
    kind = getattr(node, "resource_type", None)
    if kind == "test":
        return bool(getattr(node, "should_store_failures", False))
    if kind in ("model", "seed", "snapshot"):
        return node.config.get("materialized") != "ephemeral"
    return kind == "function"


def ask_before_writing():
    """After parsing and selecting, before the first hook: may these relations be written?"""
    from dbt.task.runnable import GraphRunnableTask

    initialize = GraphRunnableTask._runtime_initialize

    def initialize_and_ask(self):
        initialize(self)
        relations = [relation(node) for node in self._flattened_nodes if is_written(node)]
        asked.set()
        sys.stdout.write(json.dumps({"xtask": {"writes": relations}}) + "\n")
        sys.stdout.flush()
        allowed.wait()

    GraphRunnableTask._runtime_initialize = initialize_and_ask


def build_no_event_that_nobody_hears():
    """Nine of ten events are for a debug log. dbt makes each into a message before it asks who listens."""
    from dbt_common.events.base_types import EventLevel
    from dbt_common.events.event_manager import EventManager

    fire_event = EventManager.fire_event
    quiet = (EventLevel.DEBUG, EventLevel.TEST)

    def fire_heard_event(self, e, level=None, *args, **kwargs):
        # dbt's own callback looks at warnings only.
        if (level or e.level_tag()) in quiet and all(logger.level not in quiet for logger in self.loggers):
            return
        fire_event(self, e, level, *args, **kwargs)

    EventManager.fire_event = fire_heard_event


def keep_type_testers():
    """Every small result of a query gets separate testers, each with a calendar; all are alike."""
    from dbt_common.clients import agate_helper

    kept = functools.lru_cache(maxsize=64)(agate_helper.build_type_tester)

    def build_type_tester(text_columns, string_null_values=("null", "")):
        return kept(tuple(text_columns), tuple(string_null_values))

    agate_helper.build_type_tester = build_type_tester


def parse_no_further_than_needed():
    """dbt looks for a WITH outside all parentheses; for that, sqlparse builds the whole syntax tree.

    A query that begins with it is cut there. Of several statements dbt takes the first, so where a semicolon may end
    one, sqlparse reads them.
    """
    import re
    import types

    import sqlparse
    from dbt import compilation
    from sqlparse.engine import FilterStack, grouping
    from sqlparse.sql import Statement, Token
    from sqlparse.tokens import CTE, Other, Whitespace

    first = re.compile(
        r"((?:\s|--[^\n]*\n|/\*.*?\*/)*)(with)(\s+)(?!recursive\b)(?=[^\s/-])", re.IGNORECASE | re.DOTALL
    )
    semicolon = re.compile(r"--[^\n]*|/\*.*?\*/|'[^']*'|\"[^\"]*\"|(;)", re.DOTALL)

    def parse(sql):
        begun = first.match(sql)
        if begun and not any(found.group(1) for found in semicolon.finditer(sql)):
            parts = zip((Whitespace, CTE, Whitespace, Other), (*begun.groups(), sql[begun.end():]))
            return (Statement([Token(kind, text) for kind, text in parts]),)
        statements = tuple(FilterStack().run(sql))
        for statement in statements:
            grouping.group_parenthesis(statement)
        return statements

    compilation.sqlparse = types.SimpleNamespace(parse=parse, sql=sqlparse.sql, tokens=sqlparse.tokens)


def renew_workload_identity():
    """A token of workload identity lives for minutes, and dbt connects whenever a thread needs it.

    So each connection gets a separate token from the parent, which mints it at that moment.
    """
    broker = os.environ.pop("XTASK_TOKEN_BROKER", None)
    if broker is None:
        return
    import json
    import socket

    from dbt.adapters.snowflake.connections import SnowflakeCredentials
    from dbt_common.exceptions import DbtRuntimeError

    auth_args = SnowflakeCredentials.auth_args

    def auth_args_with_fresh_token(self):
        args = auth_args(self)
        if "workload_identity_provider" in args:
            with socket.socket(socket.AF_UNIX) as asked:
                asked.settimeout(TOKEN_SECONDS)
                asked.connect(broker)
                answer = json.load(asked.makefile())
            if "token" not in answer:
                raise DbtRuntimeError(answer.get("error", "no token to log in with"))
            args["token"] = answer["token"]
        return args

    SnowflakeCredentials.auth_args = auth_args_with_fresh_token


threading.Thread(target=follow_parent, daemon=True).start()

# Importing and parsing make a great many objects that all live on: looking for garbage among them is
# wasted.
gc.disable()
for make_leaner in (build_no_event_that_nobody_hears, keep_type_testers, parse_no_further_than_needed):
    with contextlib.suppress(ImportError, AttributeError):
        make_leaner()
# Not optional: if a dbt of another version has no such place, it must not run.
ask_before_writing()

with contextlib.suppress(ImportError, AttributeError):
    renew_workload_identity()

from dbt.cli.main import cli  # noqa: E402

gc.freeze()
gc.enable()
gc.set_threshold(50_000, 50, 50)

cli(prog_name="dbt")
