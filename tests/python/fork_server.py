"""Runs Python programs in copies of a process that has imported dbt: the import takes longer than most runs in a test.

Usage: fork_server.py SOCKET MODULE...

`fork_client.py` sends a program's text with its arguments, folder, environment and standard streams. The program gets
a process that ends as every Python does. The server lives as long as its standard input is open.
"""

import array
import contextlib
import gc
import importlib
import json
import os
import select
import shutil
import signal
import socket
import sys
import threading
import time

STREAMS = 3


def receive(connection):
    """The request, with the client's standard streams."""
    room = socket.CMSG_LEN(STREAMS * array.array("i").itemsize)
    head, ancillary, _, _ = connection.recvmsg(8, room)
    streams = array.array("i")
    streams.frombytes(ancillary[0][2])
    length = int.from_bytes(head, "big")
    with connection.makefile("rb") as text:
        return json.loads(text.read(length)), streams


def become(request, streams):
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    sys.argv = request["argv"]
    sys.path[0] = request["path"]


def follow(connection, pid, ended):
    """End the program when its client has ended before it."""
    connection.recv(1)
    if not ended.is_set():
        os.kill(pid, signal.SIGKILL)


def attend(connection):
    """Give the program of a request a process, and its client the status. Returns in the program's process only."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    request, streams = receive(connection)
    pid = os.fork()
    if pid == 0:
        connection.close()
        become(request, streams)
        return request["program"]
    for stream in streams:
        os.close(stream)
    ended = threading.Event()
    threading.Thread(target=follow, args=(connection, pid, ended), daemon=True).start()
    _, status = os.waitpid(pid, 0)
    ended.set()
    # A client that was killed waits for nothing.
    with contextlib.suppress(BrokenPipeError):
        connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def serve(listener):
    """Returns in the process of a program only. The last act is to remove the folder of the socket."""
    # The processes of clients are waited for by the system.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in ready:
            shutil.rmtree(os.path.dirname(place))
            os._exit(0)
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            return attend(connection)
        connection.close()


place, *modules = sys.argv[1:]
listener = socket.socket(socket.AF_UNIX)
listener.bind(place)
listener.listen(64)
# Clients wait from here on.
print("listening", flush=True)

gc.disable()
for module in modules:
    importlib.import_module(module)
gc.freeze()
gc.enable()

exec(compile(serve(listener), "<string>", "exec"), {"__name__": "__main__"})
