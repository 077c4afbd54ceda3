"""Every firmware file compiles for each chip and for this machine; sizes are what `make bench` prints."""

import pytest

from host_tools.virtual import interpreter


@pytest.mark.parametrize("march", ["xtensawin", "rv32imc", "x64", None])
def test_compiles(march, tmp_path):
    interpreter.compile_tree(tmp_path, march=march)
    assert list(tmp_path.rglob("*.mpy"))
