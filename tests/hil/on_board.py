"""Runs on the board: `run(name)` runs the test_ functions of one module and prints JSON, one line a failure, last
the count."""

import gc
import json
import sys

try:
    import vigil_pointers  # where the board has no native code

    vigil_pointers.install()
except ImportError:
    pass


class Lines:
    """Keeps what print_exception writes."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text


def run(name):
    gc.collect()
    module = __import__(name)
    ran = 0
    for test in sorted(dir(module)):
        if test.startswith("test_"):
            ran += 1
            try:
                getattr(module, test)()
            except Exception as e:
                lines = Lines()
                try:
                    sys.print_exception(e, lines)
                except TypeError:
                    lines.text = repr(e)
                print(json.dumps({"failed": test, "why": lines.text or repr(e)}))
    print(json.dumps({"ran": ran}))
