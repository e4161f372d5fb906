#!/usr/bin/env python3
"""Behaves as the two real clients of the cache do, with nothing but Python's standard library (and openssl).

The wire is that of slapos.libnetworkcache and `slapos node software`: http.client, HTTP/1.1, `Connection: close`, no
`Accept-Encoding`, a connection for each request. Every command prints one JSON object and ends with 0, or with 1 and
{"error": ...} when a node would have failed.

    python_client.py --base 'http://[::1]:5050' lookup --key KEY
    python_client.py --base http://127.0.0.1:5050 install --url SOFTWARE_URL --certificate sign.crt --root DIR ...
    python_client.py --base https://cache:5050 --ca ca.crt --cert-file me.crt --key-file me.key \\
        upload --url SOFTWARE_URL --file ARCHIVE --sign-key sign.key
    python_client.py --base http://user:password@cache:5050 upload ...
    python_client.py --base http://127.0.0.1:5050 upload-source --file FILE [--key KEY --member version=1 ...]

With `--os distro` the machine is this one, as Python's `distro` describes it. Without `--ca` a server must have a certificate that
this Python trusts already: a node passes no CA when it downloads.
"""

import argparse
import base64
import hashlib
import http.client
import json
import os
import ssl
import subprocess
import sys
import tarfile
import tempfile
import urllib.parse

TIMEOUT = 60
PIECE = 64 * 1024


class ClientError(Exception):
    """What makes a node give up."""


class Service:
    """ShaCache and ShaDir below one URL."""

    def __init__(self, base, ca=None, cert_file=None, key_file=None):
        self.url = urllib.parse.urlsplit(base)
        self.context = None
        if self.url.scheme == 'https':
            # As with shacache-ca-file, shacache-cert-file and shacache-key-file: names are checked, too.
            self.context = ssl.create_default_context(cafile=ca)
            if cert_file:
                self.context.load_cert_chain(cert_file, key_file)

    def connect(self):
        if self.context is None:
            return http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=TIMEOUT)
        return http.client.HTTPSConnection(
            self.url.hostname, self.url.port, timeout=TIMEOUT, context=self.context)

    def credentials(self):
        if self.url.username is None:
            return []
        pair = '%s:%s' % (urllib.parse.unquote(self.url.username), urllib.parse.unquote(self.url.password or ''))
        return [('Authorization', 'Basic ' + base64.b64encode(pair.encode('utf-8')).decode('ascii'))]

    def request(self, method, path, headers=(), body=None):
        """Sends one request on a connection of its own; the caller closes it."""
        connection = self.connect()
        connection.putrequest(method, self.url.path.rstrip('/') + path, skip_accept_encoding=True)
        connection.putheader('Connection', 'close')
        for name, value in self.credentials() + list(headers):
            connection.putheader(name, value)
        connection.endheaders(body)
        return connection, connection.getresponse()


def lookup(service, key):
    """The pairs of a key, None where there is none."""
    connection, response = service.request('GET', '/bdir/' + key)
    try:
        if response.status == 404:
            return None
        if response.status != 200:
            raise ClientError('lookup: %d %s' % (response.status, response.read(200)))
        if response.headers['Content-Type'] != 'application/json':
            raise ClientError('lookup: not JSON but %s' % response.headers['Content-Type'])
        return json.loads(response.read().decode('utf-8'))
    finally:
        connection.close()


def verify(text, signature, certificates):
    """Whether one of the certificates verifies the signature over exactly this text."""
    if not signature:
        return False
    with tempfile.TemporaryDirectory() as folder:
        public, signed, data = (os.path.join(folder, name) for name in ('public', 'signature', 'text'))
        with open(signed, 'wb') as f:
            f.write(base64.b64decode(signature))
        with open(data, 'wb') as f:
            f.write(text.encode('utf-8'))
        for certificate in certificates:
            subprocess.run(
                ['openssl', 'x509', '-in', certificate, '-noout', '-pubkey', '-out', public], check=True)
            judged = subprocess.run(
                ['openssl', 'sha1', '-verify', public, '-signature', signed, data],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if judged.returncode == 0:
                return True
    return False


def os_of(arguments):
    """[id, version, codename], as `slapos node software` writes and compares them."""
    if arguments.os != 'distro':
        return arguments.os.split(',')
    import distro
    return [distro.id(), distro.version(), distro.codename()]


def comparable(os_release):
    name, version, codename = os_release
    name = name.lower()
    if name == 'raspbian':
        name = 'debian'
    return [name, version.split('.')[0], ''] if name == 'debian' else [name, version, codename]


def is_compatible(entry, multiarch, os_release):
    built = entry.get('multiarch')
    if built is None and entry.get('machine') == 'x86_64':
        built = 'x86_64-linux-gnu'
    built_os = entry.get('os')
    if isinstance(built_os, str):
        built_os = [part.strip(" '") for part in built_os.strip('()').split(',')]
    return built == multiarch and built_os is not None and comparable(built_os) == comparable(os_release)


def select(service, key, certificates, multiarch, os_release):
    """The first entry that a trusted certificate verifies and that runs on this machine."""
    for text, signature in lookup(service, key) or ():
        entry = json.loads(text)
        if verify(text, signature, certificates) and is_compatible(entry, multiarch, os_release):
            return entry
    return None


def download(service, sha512, path, attempts):
    """Downloads a blob, goes on with Range where the connection was lost, and checks the digest."""
    digest = hashlib.sha512()
    statuses = []
    done, size, can_resume = 0, None, False
    with open(path, 'wb') as f:
        for _ in range(attempts):
            headers = [('Range', 'bytes=%d-' % done)] if done else []
            connection, response = service.request('GET', '/bcache/' + sha512, headers)
            statuses.append(response.status)
            try:
                if done:
                    if response.status != 206:
                        raise ClientError('resume: %d' % response.status)
                    if response.headers['Content-Range'] != 'bytes %d-%d/%d' % (done, size - 1, size):
                        raise ClientError('resume: %s' % response.headers['Content-Range'])
                elif response.status != 200:
                    raise ClientError('download: %d %s' % (response.status, response.read(200)))
                else:
                    length = response.headers['Content-Length']
                    size = None if length is None else int(length)
                    can_resume = size is not None and response.headers['Accept-Ranges'] == 'bytes'
                while True:
                    piece = response.read(PIECE)
                    if not piece:
                        break
                    f.write(piece)
                    digest.update(piece)
                    done += len(piece)
            except (http.client.IncompleteRead, ConnectionError) as error:
                lost = getattr(error, 'partial', b'')
                f.write(lost)
                digest.update(lost)
                done += len(lost)
            finally:
                connection.close()
            if size is None or done == size:
                break
            if not can_resume:
                raise ClientError('the connection was lost and the server cannot resume')
    if digest.hexdigest() != sha512:
        raise ClientError('%d bytes of %s came, with the sha512 %s' % (done, size, digest.hexdigest()))
    return {'size': done, 'statuses': statuses}


def unpack(path, root):
    with tarfile.open(path) as archive:
        # What Python did before 3.12, and the clients rely on.
        options = {'filter': 'fully_trusted'} if hasattr(tarfile, 'fully_trusted_filter') else {}
        archive.extractall(root, **options)
        return sorted({name.split('/')[0] for name in archive.getnames()})


def key_of(arguments):
    return arguments.key or hashlib.md5(arguments.url.encode('utf-8')).hexdigest()


def do_lookup(service, arguments):
    entries = lookup(service, key_of(arguments))
    return {'found': entries is not None, 'entries': entries or []}


def do_select(service, arguments):
    certificates = arguments.certificate or []
    entry = select(service, key_of(arguments), certificates, arguments.multiarch, os_of(arguments))
    return {'entry': entry}


def do_download(service, arguments):
    return download(service, arguments.sha512, arguments.output, arguments.attempts)


def do_install(service, arguments):
    entry = do_select(service, arguments)['entry']
    if entry is None:
        raise ClientError('no entry for this machine')
    os.makedirs(arguments.root, exist_ok=True)
    path = os.path.join(arguments.root, '.download')
    result = download(service, entry['sha512'], path, arguments.attempts)
    result['unpacked'] = unpack(path, arguments.root)
    os.unlink(path)
    return result


def probe(service, sha512):
    """Looks whether a blob is there, as before an upload: the body is never read."""
    connection, response = service.request('GET', '/bcache/' + sha512)
    connection.close()
    response.close()
    return {'found': 200 <= response.status < 300, 'status': response.status}


def do_probe(service, arguments):
    return probe(service, arguments.sha512)


def digest_of(path):
    digest = hashlib.sha512()
    with open(path, 'rb') as f:
        for piece in iter(lambda: f.read(PIECE), b''):
            digest.update(piece)
    return digest.hexdigest()


def chunks_of(file):
    for piece in iter(lambda: file.read(PIECE), b''):
        yield b'%x\r\n%s\r\n' % (len(piece), piece)
    yield b'0\r\n\r\n'


def send(service, method, path, content_type, body, length):
    """Sends all of the body before the answer is looked at, and wants a 201."""
    headers = [('Content-Type', content_type)]
    if length is None:
        headers.append(('Transfer-Encoding', 'chunked'))
        body = chunks_of(body)
    else:
        headers.append(('Content-Length', str(length)))
    connection, response = service.request(method, path, headers, body)
    try:
        answer = response.read()
        if response.status != 201:
            raise ClientError('%s %s: %d %s' % (method, path, response.status, answer.decode('utf-8')))
        return answer
    finally:
        connection.close()


def upload_blob(service, path, sha512, method, chunked):
    target = '/bcache/' + sha512 if method == 'PUT' else '/bcache'
    with open(path, 'rb') as f:
        length = None if chunked else os.fstat(f.fileno()).st_size
        answer = send(service, method, target, 'application/octet-stream', f, length)
    if answer.decode('ascii') != sha512:
        raise ClientError('upload: the answer is %r' % answer)


def sign(text, key_file):
    if key_file is None:
        return ''
    signed = subprocess.run(
        ['openssl', 'sha1', '-sign', key_file], input=text.encode('utf-8'), stdout=subprocess.PIPE, check=True)
    return base64.b64encode(signed.stdout).decode('ascii')


def do_upload(service, arguments):
    """As `slapos node software` after it has compiled: the blob where it isn't there yet, then its entry."""
    sha512, found = probe_and_upload(service, arguments)
    text = json.dumps({
        'sha512': sha512,
        'software_url': arguments.url,
        'software_root': '/opt/slapgrid',
        'multiarch': arguments.multiarch,
        'os': os_of(arguments),
    })
    put_entry(service, key_of(arguments), text, arguments.sign_key)
    return {'sha512': sha512, 'probe': found['status']}


def do_upload_source(service, arguments):
    """As networkcache-upload: without a key the blob alone."""
    sha512, found = probe_and_upload(service, arguments)
    if arguments.key:
        members = dict(member.split('=', 1) for member in arguments.member)
        members.update({'sha512': sha512, 'basename': os.path.basename(arguments.file)})
        put_entry(service, arguments.key, json.dumps(members), arguments.sign_key)
    return {'sha512': sha512, 'probe': found['status']}


def probe_and_upload(service, arguments):
    sha512 = digest_of(arguments.file)
    found = probe(service, sha512)
    if not found['found']:
        upload_blob(service, arguments.file, sha512, arguments.method, arguments.chunked)
    return sha512, found


def put_entry(service, key, text, sign_key):
    body = json.dumps([text, sign(text, sign_key)]).encode('utf-8')
    answer = send(service, 'PUT', '/bdir/' + key, 'application/json', body, len(body))
    if answer:
        raise ClientError('entry: the answer is %r' % answer)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--base', required=True, help='URL below which /bcache and /bdir are')
    parser.add_argument('--ca', help='whose certificates a server must have')
    parser.add_argument('--cert-file', help='the client certificate, with its chain')
    parser.add_argument('--key-file')
    commands = parser.add_subparsers(dest='command', required=True)

    def command(name, function):
        added = commands.add_parser(name)
        added.set_defaults(function=function)
        return added

    def add_key(to):
        which = to.add_mutually_exclusive_group(required=True)
        which.add_argument('--key')
        which.add_argument('--url', help='software URL')

    def add_machine(to):
        to.add_argument('--certificate', action='append', help='file of a trusted certificate')
        to.add_argument('--multiarch', default='x86_64-linux-gnu')
        to.add_argument('--os', default='ubuntu,22.04,jammy', help='ID,VERSION,CODENAME or distro')

    def add_upload(to):
        to.add_argument('--file', required=True)
        to.add_argument('--sign-key', help='file of the private key that signs the entry')
        to.add_argument('--method', choices=['POST', 'PUT'], default='POST')
        to.add_argument('--chunked', action='store_true')

    add_key(command('lookup', do_lookup))

    selecting = command('select', do_select)
    add_key(selecting)
    add_machine(selecting)

    downloading = command('download', do_download)
    downloading.add_argument('--sha512', required=True)
    downloading.add_argument('--output', required=True)
    downloading.add_argument('--attempts', type=int, default=10)

    installing = command('install', do_install)
    add_key(installing)
    add_machine(installing)
    installing.add_argument('--root', required=True, help='software root to unpack into')
    installing.add_argument('--attempts', type=int, default=10)

    command('probe', do_probe).add_argument('--sha512', required=True)

    uploading = command('upload', do_upload)
    uploading.add_argument('--url', required=True, help='software URL')
    uploading.add_argument('--key', help='where to put the entry, when not under the md5 of the URL')
    add_upload(uploading)
    add_machine(uploading)

    sourcing = command('upload-source', do_upload_source)
    sourcing.add_argument('--key', help='where to put an entry; without it only the blob is uploaded')
    sourcing.add_argument('--member', action='append', default=[], help='NAME=VALUE of the entry')
    add_upload(sourcing)
    return parser.parse_args()


def service_of(arguments):
    return Service(arguments.base, arguments.ca, arguments.cert_file, arguments.key_file)


def main():
    arguments = parse_arguments()
    try:
        result = arguments.function(service_of(arguments), arguments)
    except (ClientError, OSError, http.client.HTTPException, tarfile.TarError, ValueError) as error:
        print(json.dumps({'error': '%s: %s' % (type(error).__name__, error)}))
        return 1
    print(json.dumps(result))
    return 0


if __name__ == '__main__':
    sys.exit(main())
