"""Plays systemd for one service: sd_notify(3), sd_listen_fds(3) and sd_watchdog_enabled(3).

systemd.py [--socket NAME=HOST:PORT]... [--unix NAME=PATH]... [--watchdog USEC] -- COMMAND...

Prints a line of JSON for each event: {"pid", "sockets": [[host, port], ...]} when the service was started, {"message": {...},
"monotonic": USEC} for each datagram, and {"exit": status} at the end. It ends the service when stdin ends.
"""
import argparse
import json
import os
import select
import signal
import socket
import sys
import tempfile
import time

parser = argparse.ArgumentParser()
parser.add_argument("--socket", action="append", default=[])
parser.add_argument("--unix", action="append", default=[])
parser.add_argument("--watchdog")
parser.add_argument("--foreign", action="store_true", help="as if another process had been started with the sockets")
parser.add_argument("command", nargs="+")
options = parser.parse_args()


def show(event):
    print(json.dumps(event), flush=True)


names, sockets = [], []
for text in options.socket:
    name, address = text.split("=", 1)
    host, port = address.rsplit(":", 1)
    names.append(name)
    sockets.append(socket.create_server((host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET))
for text in options.unix:
    name, path = text.split("=", 1)
    names.append(name)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(path)
    listening.listen()
    sockets.append(listening)

with tempfile.TemporaryDirectory() as folder:
    notify = os.path.join(folder, "notify")
    received = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    received.bind(notify)
    child = os.fork()
    if child == 0:
        pid = str(os.getpid())
        os.environ["NOTIFY_SOCKET"] = notify
        if sockets:
            os.environ["LISTEN_PID"] = "1" if options.foreign else pid
            os.environ["LISTEN_FDS"] = str(len(sockets))
            os.environ["LISTEN_FDNAMES"] = ":".join(names)
        if options.watchdog:
            os.environ["WATCHDOG_PID"] = pid
            os.environ["WATCHDOG_USEC"] = options.watchdog
        # Above the places that they get, which dup2 would close.
        moved = [os.dup(listening.fileno()) for listening in sockets]
        high = [os.dup2(descriptor, 200 + index) for index, descriptor in enumerate(moved)]
        for index, descriptor in enumerate(high):
            os.dup2(descriptor, 3 + index, inheritable=True)
        os.closerange(3 + len(sockets), 300)
        os.execvp(options.command[0], options.command)
    show({"pid": child, "sockets": [list(listening.getsockname())[:2] for listening in sockets[:len(options.socket)]]})
    for listening in sockets:
        listening.close()
    is_open = True
    while True:
        ready, _, _ = select.select([received] + ([sys.stdin] if is_open else []), [], [], 0.05)
        if received in ready:
            data, descriptors, _, _ = socket.recv_fds(received, 65536, 16)
            # The end of this pipe tells the sender that all before was read (sd_notify_barrier(3)).
            for descriptor in descriptors:
                os.close(descriptor)
            message = dict(line.split("=", 1) for line in data.decode().split("\n") if line)
            if message != {"BARRIER": "1"}:
                show({"message": message, "monotonic": time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000})
            continue
        if sys.stdin in ready and not sys.stdin.buffer.read1(1024):
            is_open = False
            os.kill(child, signal.SIGKILL)
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended == child:
            show({"exit": os.waitstatus_to_exitcode(status)})
            break
