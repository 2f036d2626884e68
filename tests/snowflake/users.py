"""Users of the local endpoint, and the roles that they have.

Any name may log in, with any secret. A user that `create user` made has only the roles that were granted to it, and only its
token's subject logs it in by workload identity; a name that was not made has every role.
"""

from __future__ import annotations

import re
from typing import Any

SETTINGS = {"role": r"default_role\s*=\s*'?(\w+)", "warehouse": r"default_warehouse\s*=\s*'?(\w+)"}


class Users:
    """Users that were made, by name."""

    def __init__(self) -> None:
        self.roles: dict[str, set[str]] = {}
        self.defaults: dict[str, dict[str, str]] = {}
        self.subjects: dict[str, str] = {}

    def manage(self, command: str) -> bool:
        """Run a statement about a user; whether there is such a user."""
        named = re.match(r'(create|alter|drop)\s+user\s+(?:if\s+(?:not\s+)?exists\s+)?"?(\w+)', command.strip(), re.IGNORECASE)
        if not named:
            return False
        verb, name = named[1].upper(), named[2].upper()
        if verb == "CREATE":
            self.roles.setdefault(name, set())
        if name not in self.roles:
            return False
        if verb == "DROP":
            self.forget(name)
            return True
        for key, pattern in SETTINGS.items():
            if found := re.search(pattern, command, re.IGNORECASE):
                self.defaults.setdefault(name, {})[key] = found[1].upper()
        if found := re.search(r"subject\s*=\s*'([^']*)'", command, re.IGNORECASE):
            if not re.search(r"add\s+workload\s+identity", command, re.IGNORECASE):
                self.subjects = {subject: user for subject, user in self.subjects.items() if user != name}
            self.subjects[found[1]] = name
        return True

    def forget(self, name: str) -> None:
        del self.roles[name]
        self.defaults.pop(name, None)
        self.subjects = {subject: user for subject, user in self.subjects.items() if user != name}

    def default(self, name: str | None, key: str) -> str | None:
        return self.defaults.get(name or "", {}).get(key)

    def is_made(self, name: str | None) -> bool:
        return name in self.roles

    def identified(self, user: str | None, claims: dict[str, Any]) -> tuple[bool, str | None]:
        """Whether a token is accepted, and whose it is. Without any subject every token is."""
        if not self.subjects:
            return True, user
        found = self.subjects.get(str(claims.get("sub")))
        return found is not None and user in (None, found), found
