# SPDX-License-Identifier: Apache-2.0
"""ttfwd: a multi-queue worker-pool packet forwarder."""
