"""`bin/python` and `bin/dbt` of an environment for tests: dbt runs in a copy of a process that has imported it.

See `fork_server.py`, whose socket lies in the environment. Every other program runs in the environment's own Python.
"""

import json
import os
import signal
import socket
import sys

folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
bin_folder = os.path.join(os.path.dirname(os.path.realpath(os.path.join(folder, "lib"))), "bin")


def dbt_program():
    """Its text, its arguments and the first folder of its modules; nothing for another program."""
    if os.path.basename(__file__) == "dbt":
        return "from dbt.cli.main import cli\ncli()\n", sys.argv, bin_folder
    if sys.argv[1:2] == ["-c"] and "from dbt.cli.main import cli" in sys.argv[2]:
        return sys.argv[2], ["-c", *sys.argv[3:]], ""
    return None


asked = dbt_program()
if asked is None:
    python = os.path.join(bin_folder, "python")
    os.execv(python, [python, *sys.argv[1:]])
program, argv, path = asked
request = json.dumps({
    "program": program,
    "argv": argv,
    "path": path,
    "folder": os.getcwd(),
    "environment": dict(os.environ),
}).encode()
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(os.path.join(folder, "fork_server"))
    socket.send_fds(connection, [len(request).to_bytes(8, "big")], [0, 1, 2])
    connection.sendall(request)
    status = int(connection.makefile().readline())
if status < 0:
    signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
sys.exit(status)
