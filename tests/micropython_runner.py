"""Runs the test_ functions of one file under MicroPython: `micropython micropython_runner.py FOLDER MODULE`.

The same files run under pytest on CPython; they use nothing but assert. Prints one line a failing test and
`ran N`, and ends with status 1 when any failed.
"""

import gc
import sys

try:
    import vigil_pointers  # on the path where the viper decorators were removed: pointer casts are ordinary calls

    vigil_pointers.install()
except ImportError:
    pass

sys.path.insert(0, sys.argv[1])
module = __import__(sys.argv[2])
ran = failed = 0
for name in sorted(dir(module)):
    if name.startswith("test_"):
        ran += 1
        gc.collect()
        try:
            getattr(module, name)()
        except Exception as e:
            failed += 1
            print("FAIL", name)
            sys.print_exception(e)
print("ran", ran)
sys.exit(1 if failed else 0)
