#!/usr/bin/env python3
"""An HTTP proxy as companies have one, with nothing but Python's standard library.

Takes requests in absolute form (RFC 9112, 3.2.2) and CONNECT (RFC 9110, 9.3.6). Whatever name is asked for, it goes to the one
address that it is told: so a test needs no names that resolve. Prints `port N`, then a JSON object for each request.

    proxy.py --to 127.0.0.1:PORT [--user NAME:PASSWORD] [--answer 503]
"""

import argparse
import base64
import json
import socket
import socketserver
import sys
import threading


class Proxy(socketserver.StreamRequestHandler):
    def handle(self):
        options = self.server.options
        method, target, _version = self.rfile.readline().decode().split()
        headers = {}
        while (line := self.rfile.readline()) not in (b'\r\n', b'\n', b''):
            name, value = line.decode().split(':', 1)
            headers[name.strip().lower()] = value.strip()
        print(json.dumps({'method': method, 'target': target, 'headers': headers}), flush=True)
        if options.answer:
            return self.refuse(f'{options.answer} Told To')
        wanted = 'Basic ' + base64.b64encode((options.user or '').encode()).decode()
        if options.user and headers.get('proxy-authorization') != wanted:
            return self.refuse('407 Proxy Authentication Required')
        host, port = options.to.rsplit(':', 1)
        with socket.create_connection((host, int(port))) as there:
            if method == 'CONNECT':
                self.wfile.write(b'HTTP/1.1 200 Connection established\r\n\r\n')
            else:
                if not target.startswith('http://'):
                    return self.refuse('400 Not In Absolute Form')
                path = '/' + target[len('http://'):].split('/', 1)[1]
                kept = {name: value for name, value in headers.items() if not name.startswith('proxy-')}
                kept['connection'] = 'close'
                lines = [f'{method} {path} HTTP/1.1'] + [f'{name}: {value}' for name, value in kept.items()]
                there.sendall(('\r\n'.join(lines) + '\r\n\r\n').encode())
            up = threading.Thread(target=self.copy, args=(self.rfile.read1, there.sendall, there), daemon=True)
            up.start()
            self.copy(there.recv, self.wfile.write, self.connection)
            up.join()

    def refuse(self, status):
        self.wfile.write(f'HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'.encode())

    @staticmethod
    def copy(read, write, end):
        try:
            while data := read(65536):
                write(data)
            end.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


parser = argparse.ArgumentParser()
parser.add_argument('--to', required=True)
parser.add_argument('--user')
parser.add_argument('--answer', type=int)
with Server(('127.0.0.1', 0), Proxy) as server:
    server.options = parser.parse_args()
    print('port', server.server_address[1], flush=True)
    sys.stdout.flush()
    server.serve_forever()
