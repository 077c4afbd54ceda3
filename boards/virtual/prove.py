"""First step of provisioning on the virtual board: print `VIGIL-PROOF public_key signature` (hex).

The nonce comes in the environment (VIGIL_NONCE, hex), as it would come over USB.
"""

import os
from binascii import hexlify, unhexlify

try:
    import vigil_pointers

    vigil_pointers.install()
except ImportError:
    pass

import board

from vigil.app.identity import prove

key, signature = prove(board.make(), unhexlify(os.getenv("VIGIL_NONCE")))
print("VIGIL-PROOF", hexlify(key).decode(), hexlify(signature).decode())
