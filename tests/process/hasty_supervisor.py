# SPDX-License-Identifier: Apache-2.0
"""`python hasty_supervisor.py start ...`: a ttfwd that soon thinks that no remedy helps a worker."""

from __future__ import annotations

from forwarder.__main__ import main
from forwarder.supervisor import worker_pool

if __name__ == "__main__":
    worker_pool.REMEDY_NS = 1_000_000_000
    main()
