#!/usr/bin/env python3
"""What a node does with software URLs, by its slapos.cfg: `slapos_node.py SLAPOS_CFG URL...` prints a list of JSON.

Reads the file as slapos.core does, looks at the lists in its order, and asks the cache as python_client.py does. It hands no
CA to TLS: a node has only those of its OpenSSL, and SSL_CERT_FILE.
"""

import configparser
import hashlib
import json
import os
import subprocess
import sys
import tempfile

import python_client

END = '-----END CERTIFICATE-----'


def lines(options, key):
    return [line.strip() for line in options.get(key, '').split('\n') if line]


def machine():
    multiarch = subprocess.check_output(['gcc', '-dumpmachine'], universal_newlines=True).strip()
    return multiarch, os.environ['NODE_OS'].split(',')


def download(options, url, folder):
    """Whether the archive comes from the cache, and whether it was asked."""
    cache, directory = options.get('download-binary-cache-url'), options.get('download-binary-dir-url')
    if not (cache and directory):
        return False, False
    if any(url.startswith(prefix) for prefix in lines(options, 'download-from-binary-cache-url-blacklist')):
        return False, False
    certificates = []
    for text in options.get('signature-certificate-list', '').split(END):
        if text.strip():
            certificates.append(os.path.join(folder, '%d.crt' % len(certificates)))
            with open(certificates[-1], 'w') as f:
                f.write(text.strip() + '\n' + END + '\n')
    try:
        multiarch, os_release = machine()
    except OSError:
        return False, False
    service = python_client.Service(directory.rsplit('/', 1)[0])
    try:
        key = hashlib.md5(url.encode()).hexdigest()
        entry = python_client.select(service, key, certificates, multiarch, os_release)
        if entry is None:
            return False, True
        python_client.download(service, entry['sha512'], os.path.join(folder, 'archive'), 1)
        return True, True
    except (OSError, python_client.ClientError):
        return False, True


def plan(options, url):
    forced = any(url.startswith(prefix) for prefix in lines(options, 'download-from-binary-cache-force-url-list'))
    software = os.path.join(options['software_root'], hashlib.md5(url.encode()).hexdigest())
    with tempfile.TemporaryDirectory() as folder:
        came, asks = (False, False) if os.path.exists(software) else download(options, url, folder)
    return {'asks': asks, 'outcome': 'downloads' if came else 'retries' if forced else 'compiles'}


def main():
    parser = configparser.ConfigParser()
    parser.read(sys.argv[1])
    options = dict(parser.items('slapos'))
    if parser.has_section('networkcache'):
        options.update(parser.items('networkcache'))
    for service in ('shacache', 'shadir'):
        for kind in ('ca', 'cert', 'key'):
            file = options.get('%s-%s-file' % (service, kind))
            if file and not os.path.exists(file):
                raise RuntimeError('File %r does not exist.' % file)
    print(json.dumps([plan(options, url) for url in sys.argv[2:]]))


if __name__ == '__main__':
    main()
