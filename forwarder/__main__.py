# SPDX-License-Identifier: Apache-2.0
"""`python -m forwarder` is `ttfwd`."""

from forwarder.cli.commands import main

main(prog_name="ttfwd")
