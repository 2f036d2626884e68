"""Runs dbt so that it never outlives the process that started it, however that one ended.

Standard input is a pipe that the parent holds open and never writes to. Its end means that the parent
wants dbt to stop, or was killed: the operating system closes the pipe either way, so this needs no
signal handler in the parent and works on every system. dbt gets an interrupt first, so that it can
cancel its queries, and a few seconds later the process ends whatever it is doing.
"""

import gc
import os
import signal
import threading
import time

GRACE_SECONDS = 3


def follow_parent():
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(GRACE_SECONDS)
    os._exit(130)


threading.Thread(target=follow_parent, daemon=True).start()

# Importing and parsing make a great many objects that all live on: looking for garbage among them
# costs a tenth of a small build.
gc.disable()
from dbt.cli.main import cli  # noqa: E402

gc.freeze()
gc.enable()
gc.set_threshold(50_000, 50, 50)

cli(prog_name="dbt")
