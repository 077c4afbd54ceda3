"""Seals and acknowledges without end on a real folder: `queue_process.py FOLDER`. Meant to be killed.

Each line is `signed SEQ CONTENT` (before the signature is made), `kept SEQ`, `freed SEQ`.
"""

import os
import sys
from hashlib import sha256

from vigil.store.queue import Queue


def sign(payload):
    print("signed", payload.decode())
    return b"sealed:" + payload


queue = Queue(sys.argv[1], os, sign, capacity=50)
print("open", queue.next_seq, len(queue))
turn = 0
while True:
    turn += 1
    seq = queue.next_seq
    queue.append(b"%d %d-%d" % (seq, turn, queue.oldest_seq) + b"." * 300)
    print("kept", seq)
    if turn % 3 == 0:
        for seq in queue.waiting(4):
            print("free", seq)
            queue.acknowledge(seq, sha256(queue.read(seq)).digest())
