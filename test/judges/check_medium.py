"""Checks a medium with nothing but Python's standard library and openssl: the manifest's signature, and every file.

usage: check_medium.py MEDIUM CERTIFICATE
Prints what is wrong, a line each, and ends with 1 if anything is. Follows docs/store.md, "The medium".
"""
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import base64

medium, certificate = sys.argv[1:]
faults = []

with open(os.path.join(medium, 'manifest.json'), encoding='utf-8') as file:
    text, signature = json.load(file)

with tempfile.TemporaryDirectory() as folder:
    paths = [os.path.join(folder, name) for name in ('key', 'signature', 'text')]
    subprocess.run(['openssl', 'x509', '-in', certificate, '-noout', '-pubkey', '-out', paths[0]], check=True)
    with open(paths[1], 'wb') as file:
        file.write(base64.b64decode(signature, validate=True))
    with open(paths[2], 'wb') as file:
        file.write(text.encode('utf-8'))
    verified = subprocess.run(['openssl', 'dgst', '-sha512', '-verify', paths[0], '-signature', paths[1], paths[2]],
                              stdout=subprocess.DEVNULL)
    if verified.returncode != 0:
        faults.append('manifest.json: wrong signature')

manifest = json.loads(text)
assert manifest['type'] == 'shacache-medium' and manifest['format'] == 1

# Media of earlier versions do not cover packages/, or the program.
listed = {}
for file in manifest['files'] + manifest.get('packages', []) + manifest.get('program', []):
    listed[file['path']] = file
    path = os.path.join(medium, file['path'])
    if not os.path.isfile(path):
        faults.append(file['path'] + ': missing')
        continue
    with open(path, 'rb') as stream:
        content = stream.read()
    if len(content) != file['size'] or hashlib.sha512(content).hexdigest() != file['sha512']:
        faults.append(file['path'] + ': changed')

for blob in manifest['split']:
    whole = hashlib.sha512()
    for part in blob['parts']:
        with open(os.path.join(medium, part), 'rb') as stream:
            whole.update(stream.read())
    if whole.hexdigest() != blob['sha512']:
        faults.append(blob['sha512'] + ': its parts make something else')

there = set()
for name in ('bcache', 'bdir', 'parts'):
    for folder, _, names in os.walk(os.path.join(medium, 'store', name)):
        for one in names:
            there.add(os.path.relpath(os.path.join(folder, one), medium))
there.add('store/store.json')
if 'packages' in manifest:
    for folder, _, names in os.walk(os.path.join(medium, 'packages')):
        there.update(os.path.relpath(os.path.join(folder, one), medium) for one in names)
if 'program' in manifest:
    names = ('cache', 'cache-arm64', 'README.txt')
    there.update(name for name in names if os.path.isfile(os.path.join(medium, name)))
for path in sorted(there ^ set(listed)):
    faults.append(path + ': only on one side')

# Each release that is told of has its entry, and its blob in one way or the other.
blobs = {os.path.basename(path) for path in listed if path.startswith('store/bcache/')}
blobs |= {blob['sha512'] for blob in manifest['split']}
for release in manifest['releases']:
    if 'url' in release and ':' not in release['key']:
        assert hashlib.md5(release['url'].encode()).hexdigest() == release['key']
    if ('size' in release) != (release['sha512'] in blobs):
        faults.append(release['key'] + ': its blob is not as told')

for fault in faults:
    print(fault)
print('%d files, %d releases' % (len(listed), len(manifest['releases'])))
sys.exit(1 if faults else 0)
