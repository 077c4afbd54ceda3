"""Seals and acknowledges without end on a real folder: `journal_process.py FOLDER`. Meant to be killed.

Each line is `signed SEQ CONTENT` (before the signature is made), `kept SEQ`, `freed SEQ`.
"""

import os
import sys
from hashlib import sha256

from vigil.store.journal import Journal


def seal(payload, signature):
    if signature is None:
        print("signed", payload.decode())
    return b"sealed:" + payload + sha256(payload).digest() * 2


journal = Journal(sys.argv[1], os, seal, capacity=1 << 18)
print("open", journal.next_seq, *journal.waiting(9999))
turn = 0
while True:
    turn += 1
    seq = journal.next_seq
    journal.append(b"%d %d-%d" % (seq, turn, journal.oldest_seq) + b"." * 300)
    print("kept", seq)
    if turn % 3 == 0:
        for seq in journal.waiting(4):
            print("free", seq)
            journal.acknowledge(seq, sha256(journal.read(seq)).digest())
