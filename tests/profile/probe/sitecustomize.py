"""Lets a process of the same user look into a worker, where Yama allows that to its parents alone. Python
imports this at its start where the folder is on PYTHONPATH.

https://docs.kernel.org/admin-guide/LSM/Yama.html
"""

import ctypes
import sys

_PR_SET_PTRACER, _ANY = 0x59616D61, ctypes.c_ulong(-1)

if sys.platform == "linux" and "server.worker" in sys.orig_argv:
    ctypes.CDLL(None).prctl(
        _PR_SET_PTRACER, _ANY, 0, 0, 0
    )  # a kernel without Yama refuses, and has no need
