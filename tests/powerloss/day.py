"""What the journal holds in 1 MiB of LittleFS, and what it wears: `day.py`, under MicroPython. Prints JSON."""

import json
from hashlib import sha256

import vfs
from flash import BLOCK, Flash

from vigil.store.journal import EVENT, VITALS, Journal

BLOCKS = 256  # 1 MiB, the file system's own blocks included
FORMAT = {"readsize": 32, "progsize": 32, "lookahead": 32}
ENVELOPE = 350
# A device with room reads nine kinds: 20 s of them are one envelope while the host is long away, 10 s until then;
# and four strips are kept, of five envelopes each. Sizes: the largest and the mean as measured on the synthetic wearer.
WIDE = [(370, VITALS)] * 30 + [(450, VITALS)] * ((8 * 3600 - 300) // 20)
WIDE[100:100] = [(2600, EVENT)] * 20


class Os:
    def __init__(self, fs):
        self.stat, self.mkdir, self.remove, self.rename = fs.stat, fs.mkdir, fs.remove, fs.rename
        self.listdir = lambda path: [entry[0] for entry in fs.ilistdir(path)]


def open_journal(flash):
    fs = vfs.VfsLfs2(flash, mtime=False, **FORMAT)
    seal = lambda payload, signature: payload + bytes(22) + (signature or b"s" * 64)  # noqa: E731
    return Journal("/j", Os(fs), seal, open=fs.open, capacity=(BLOCKS - 8) * BLOCK)


def run(data, batches, acknowledged):
    """Append these (bytes, kind); return the journal, the flash and the reads of the next start."""
    flash = Flash(BLOCKS, data)
    vfs.VfsLfs2.mkfs(flash, **FORMAT)
    j = open_journal(flash)
    for size, kind in batches:
        sealed = j.append(bytes(size - 86), kind)
        if acknowledged:
            j.acknowledge(j.next_seq - 1, sha256(sealed).digest())
    reads = flash.reads
    again = open_journal(flash)
    assert acknowledged or (len(again) == len(j) and again.damaged == 0)
    return j, flash, flash.reads - reads


data = bytearray(BLOCKS * BLOCK)
day = [(ENVELOPE, EVENT if i % 360 == 5 else VITALS) for i in range(8640)]
j, _, reads = run(data, day[:2880], False)
_, worn, _ = run(data, day, True)
wide, _, _ = run(data, WIDE, False)
year_erases = worn.erases * 365 // 512  # a block, levelled over the 2 MiB of a 4 MiB chip
print(
    json.dumps(
        {
            "envelope_bytes": ENVELOPE,
            "offline_8_h_sealed": 2880,
            "kept": len(j),
            "dropped": j.dropped,
            "offline_8_h_wide": len(WIDE),
            "wide_dropped": wide.dropped,
            "wide_blocks": wide._blocks(),
            "segments_in_memory": len(j._segments),
            "flash_reads_at_start": reads,
            "erases_a_day_online": worn.erases,
            "erases_a_block_a_year": year_erases,
            "years_to_100000": 100_000 // max(1, year_erases),
        }
    )
)
