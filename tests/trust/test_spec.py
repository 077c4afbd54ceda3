"""firmware/SPEC.md says the same numbers as the code."""

import re

from host_tools.ingest import batch as reader
from host_tools.ingest import columns, waveform
from host_tools.paths import FIRMWARE
from host_tools.trust import verify
from signal_models.design.waveform import PREDICTORS_Q8
from vigil.app import identity
from vigil.core import records
from vigil.core.records import Reading
from vigil.crypto.signer import PROOF_PREFIX
from vigil.wire import batch, cbor

SPEC = (FIRMWARE / "SPEC.md").read_text()


def source_constant(file: str, name: str) -> int:
    """A constant of the firmware: those with an underscore do not exist at run time."""
    found = re.search(rf"^{name} = const\((.+?)\)", (FIRMWARE / "vigil" / file).read_text(), re.M)
    assert found, name
    return int(found[1], 0)


def test_limits():
    table = SPEC.split("| limit | value |")[1].split("\n\n")[0]
    limits = {name: int(value) for name, value in re.findall(r"^\| ([^|]+) \| (\d+) \|$", table, re.M)}
    assert limits == {
        "envelope, bytes": verify.MAX_ENVELOPE_BYTES,
        "nesting of arrays and maps": reader.MAX_DEPTH,
        "readings in a batch": reader.MAX_READINGS,
        "absolute mantissa": reader.MAX_MANTISSA,
        "absolute exponent": reader.MAX_EXPONENT,
        "reason": reader.MAX_REASON,
        "status key": reader.MAX_STATUS_KEY,
        "absolute status value": reader.MAX_STATUS,
        "time, ms": reader.MAX_TIME_MS,
        "end of a reading before or after t0, ms": reader.MAX_FROM_T0_MS,
        "span of a reading, ms": reader.MAX_SPAN_MS,
        "utc offset from, ms": reader.MIN_UTC_MS,
        "utc offset to, ms": reader.MAX_UTC_MS,
        "utc uncertainty, ms": reader.MAX_UNCERTAINTY_MS,
        "ranges that are gone": reader.MAX_GONE,
        "waveforms in a batch": reader.MAX_WAVEFORMS,
        "columns of a waveform": waveform.MAX_COLUMNS,
        "blocks of a waveform": reader.MAX_BLOCKS,
        "block, bytes": waveform.MAX_BLOCK_BYTES,
        "number in columns, bytes": columns.MAX_NUMBER_BYTES,
        "items in an acknowledgement": source_constant("wire/ack.py", "_MAX_ITEMS"),
    }


def test_firmware_and_host_agree():
    assert source_constant("wire/batch.py", "VERSION") == reader.VERSION == 2
    assert source_constant("wire/cbor.py", "_MAX_DEPTH") == reader.MAX_DEPTH
    assert "## 3. Batch, version 2" in SPEC


def test_reasons():
    sentence = SPEC.split("Reasons: ")[1].split(". Others")[0]
    named = dict(re.findall(r"(\d+) ([a-z ]+)", sentence.replace("\n", " ")))
    assert named == {str(i): name for i, name in enumerate(records.ABSENT_NAMES) if i}


def test_numbers_of_series():
    table = SPEC.split("| number | kind | exponent | unit | name |")[1].split("\n\n")[0]
    rows = re.findall(r"^\| (\d+) \| (\d+) \| (-?\d+) \| (\d+) \|", table, re.M)
    assert [tuple(map(int, row)) for row in rows] == [(i + 1, *key) for i, key in enumerate(columns.KNOWN)]
    for number, (kind, exp10, unit) in enumerate(columns.KNOWN, 1):
        assert written([Reading(kind, 0, exp10, unit, 0, 0, 0)])[0] == number
        other = written([Reading(kind, 0, exp10 - 5, unit, 0, 0, 0)])  # of another exponent: written out
        assert other[0] == 0 and other[1:5] == kind.to_bytes(4, "little")


def written(readings):
    """Columns as the firmware writes them."""
    sealed = batch.encode(boot=1, seq=1, prev_digest=bytes(32), oldest_seq=1, t0_ms=0, readings=readings)
    return cbor.decode(sealed)[6]


def test_the_example_of_columns():
    example = bytes.fromhex(re.sub("[^0-9a-f]", "", SPEC.split("quality 100 (0..8000):\n`")[1].split("`")[0]))
    keys = [(*one.key, len(one.ends)) for one in columns.read(example, reader.MAX_READINGS)]
    assert keys == [(*columns.KNOWN[0], 3), (*columns.KNOWN[2], 1), (1, 0, 512, 1)]


def test_proof_prefix():
    assert f"| `{PROOF_PREFIX[:-1].decode()}`, one zero byte, the host's nonce" in SPEC
    assert PROOF_PREFIX[-1] == 0
    assert identity.proof_message(bytes(16)) == PROOF_PREFIX + bytes(16)


def test_batch_keys():
    cddl = SPEC.split("batch = {")[1].split("\n}")[0]
    assert {int(key) for key in re.findall(r"^  \??\s*(\d+):", cddl, re.M)} == reader._KEYS
    assert {int(key) for key in re.findall(r"^  (\d+):", cddl, re.M)} == reader._REQUIRED


def test_predictors():
    table = SPEC.split("`w[p]`, newest step first: ")[1].split(".\n")[0].replace("\n", " ")
    rows = [part.split(":") for part in table.split("/")]
    assert [int(number) for number, _ in rows] == list(range(16))
    assert tuple(tuple(map(int, weights.split())) for _, weights in rows) == PREDICTORS_Q8
