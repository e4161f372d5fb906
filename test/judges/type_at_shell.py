"""Types at an interactive shell on a terminal.

type_at_shell.py FOLDER SETUP TEXT FILE SHELL...

In FOLDER the shell runs SETUP first, then gets the keys TEXT and Enter. Ends when FILE is there, which the typed command makes, and
prints it.
"""
import os
import pty
import select
import sys
import time

folder, setup, text, made, *shell = sys.argv[1:]
pid, terminal = pty.fork()
if pid == 0:
    os.chdir(folder)
    os.execvpe(shell[0], shell, dict(os.environ, TERM="dumb"))

output = b""
deadline = time.monotonic() + 50


def type_until(keys, is_done):
    """Types, and reads what the shell shows: it would wait for a full terminal."""
    global output
    os.write(terminal, keys.encode())
    while not is_done():
        if time.monotonic() > deadline:
            os.kill(pid, 9)
            sys.exit(f"nothing came of {keys!r}: {output!r}")
        if terminal in select.select([terminal], [], [], 0.05)[0]:
            output += os.read(terminal, 65536)


def content():
    if not os.path.exists(made):
        return ""
    with open(made, encoding="utf-8") as file:
        return file.read()


# The shell shows this word only when it runs the command: the keys have quotes in it.
type_until(f"{setup}; echo set''up\r", lambda: b"setup" in output)
type_until(text + "\r", lambda: content().endswith("\n"))
sys.stdout.write(content())
os.kill(pid, 9)
os.waitpid(pid, 0)
