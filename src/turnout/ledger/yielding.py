"""Lets predictors on the same machine go first: a prediction is waited for, its record is not.

Linux keeps it per thread or session, so it comes before the first thread starts and holds for those that follow. What
the kernel does not know or allow is left out: the ledger works without, only predictions wait longer.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
import time
from pathlib import Path

__all__ = ["yield_to_predictors"]

_NICENESS = 10
_SLICE_NS = 100_000_000  # the longest that the kernel takes
_TRIES = 5
_AUTOGROUP = Path("/proc/self/autogroup")
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}  # glibc has a name for it from 2.41 on only
_ATTRIBUTES = struct.Struct("=IIQiIQQQ")  # sched_attr: size, policy, flags, nice, priority, runtime, deadline, period


def yield_to_predictors() -> None:
    """Take less of a core that others want, and give it back at once to who wakes up.

    To be called before any other thread starts.
    """
    os.nice(_NICENESS)
    _renice_session()
    _lengthen_slice()


def _renice_session() -> None:
    """Where the kernel groups by session (sched(7), autogroup), nice counts only inside one; so make the whole nice.

    A session that others began is theirs. Of all users but root the kernel takes one such wish each tenth of a second.
    """
    if os.getsid(0) != os.getpid():
        return
    for _ in range(_TRIES):
        try:
            _AUTOGROUP.write_text(str(_NICENESS))
        except BlockingIOError:
            time.sleep(0.1)
        except OSError:
            return
        else:
            return


def _lengthen_slice() -> None:
    """Be what others need not wait for: who runs is left alone until a tick (4 ms), unless who wakes asked for less.

    Nice decides how much of a core one gets, not when. From Linux 6.12 on who wakes up and has the shorter slice comes
    at once (sched/eevdf.rst, `sched_runtime`); the usual one is 1.4 to 3 ms.
    """
    number = _SCHED_SETATTR.get(platform.machine())
    if sys.platform == "linux" and number is not None:
        policy, niceness = os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)
        attributes = _ATTRIBUTES.pack(_ATTRIBUTES.size, policy, 0, niceness, 0, _SLICE_NS, 0, 0)
        ctypes.CDLL(None).syscall(number, 0, attributes, 0)
