"""Writes the two folders of slapos proxy's shacache as it writes them (protocol.md, "Other layouts of the same two services").

Reads JSON from stdin: {"content": FOLDER, "metadata": FOLDER, "blobs": [TEXT...], "entries": {KEY: [PAIR...]}}
"""
import hashlib
import json
import os
import sys

wanted = json.load(sys.stdin)
for folder in wanted['content'], wanted['metadata']:
    os.makedirs(folder, exist_ok=True)
for text in wanted['blobs']:
    data = text.encode()
    with open(os.path.join(wanted['content'], hashlib.sha512(data).hexdigest()), 'wb') as blob:
        blob.write(data)
for key, pairs in wanted['entries'].items():
    with open(os.path.join(wanted['metadata'], key), 'w') as file:
        file.write(json.dumps(pairs))
