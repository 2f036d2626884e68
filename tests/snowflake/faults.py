"""The ways in which a warehouse lets its clients down, on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import Response


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
