"""GRANT and REVOKE of the local endpoint, read word by word."""

from __future__ import annotations

import sqlglot
from snowflake.connector.errors import ProgrammingError
from sqlglot import TokenType

# Grants that `all` and `future` are about, and the kinds of single objects.
PLURALS = {"TABLES": "TABLE", "VIEWS": "VIEW", "SCHEMAS": "SCHEMA"}


class Words:
    """A statement word by word, for what sqlglot understands only in part."""

    def __init__(self, sql: str):
        tokens = sqlglot.tokenize(sql, read="snowflake")
        self.tokens = [token for token in tokens if token.token_type != TokenType.SEMICOLON]
        self.at = 0

    def takes(self, *words: str) -> bool:
        found = [token.text.upper() for token in self.tokens[self.at : self.at + len(words)]] == list(words)
        self.at += len(words) if found else 0
        return found

    def next(self) -> sqlglot.tokens.Token:
        if self.at >= len(self.tokens):
            message = "SQL compilation error:\nunexpected end of statement"
            raise ProgrammingError(msg=message, errno=1003, sqlstate="42000")
        self.at += 1
        return self.tokens[self.at - 1]


class Grant(Words):
    """A parsed GRANT or REVOKE."""

    def __init__(self, command: str):
        super().__init__(command)
        self.gives = self.takes("GRANT")
        self.gives or self.takes("REVOKE")
        self.takes("GRANT", "OPTION", "FOR")
        self.roles: list[str] = []
        self.privileges: list[str] = []
        self.which, self.kind, self.path, self.container = "", "", [], ""
        self.is_database_role = self.takes("DATABASE", "ROLE")
        if self.is_database_role or self.takes("ROLE"):
            self.roles = self.names()
        else:
            self.privileges = self.phrases("ON")
            self.takes("ON")
            self.which = "ALL" if self.takes("ALL") else "FUTURE" if self.takes("FUTURE") else ""
            self.kind = self.word()
            while self.kind in {"FILE", "MATERIALIZED", "EXTERNAL", "RESOURCE"}:
                self.kind = self.word()
            if self.which:
                self.kind = PLURALS.get(self.kind, self.kind)
                self.takes("IN")
                self.container = self.word()
            self.path = self.name()
        self.takes("TO" if self.gives else "FROM")
        self.to_database_role = self.takes("DATABASE", "ROLE")
        self.to_user = self.takes("USER")
        self.takes("ROLE")
        self.receiver = self.name()[-1]
        self.keeps = self.takes("COPY", "CURRENT", "GRANTS")

    def word(self) -> str:
        return self.next().text.upper()

    def name(self) -> list[str]:
        parts: list[str] = []
        while not parts or self.takes("."):
            token = self.next()
            parts.append(token.text if token.token_type == TokenType.IDENTIFIER else token.text.upper())
        return parts

    def names(self) -> list[str]:
        all = [self.name()[-1]]
        while self.takes(","):
            all.append(self.name()[-1])
        return all

    def phrases(self, end: str) -> list[str]:
        """Words up to `end`, split at commas."""
        all, words = [], []
        while self.at < len(self.tokens) and self.tokens[self.at].text.upper() != end:
            word = self.word()
            if word == ",":
                all.append(" ".join(words))
                words = []
            else:
                words.append(word)
        return [*all, " ".join(words)]
