# SPDX-License-Identifier: Apache-2.0
"""The other end of a veth pair is found, and a device's features are those that ethtool shows."""

from __future__ import annotations

import pytest

from forwarder.devices.netns import inside
from forwarder.devices.veth import peer_of
from forwarder.errors import DeviceError
from forwarder.host.ethtool import active_features
from tests.support.commands import in_namespace, ip, run
from tests.support.netns import namespace


def test_the_other_end_of_a_pair_is_told_wherever_it_is() -> None:
    with namespace() as netns, namespace() as elsewhere:
        ip("link", "add", "a0", "type", "veth", "peer", "name", "b0", netns=netns)
        assert peer_of(netns, "a0") == (netns, "b0")
        ip("link", "set", "b0", "netns", elsewhere, netns=netns)
        assert peer_of(netns, "a0") == (elsewhere, "b0")
        assert peer_of(elsewhere, "b0") == (netns, "a0")
        assert peer_of(netns, "lo") is None
        with pytest.raises(DeviceError, match="nosuch0: there is no such device"):
            peer_of(netns, "nosuch0")


def test_features_are_those_that_ethtool_shows() -> None:
    with namespace() as netns:
        ip("link", "add", "a0", "type", "veth", "peer", "name", "b0", netns=netns)
        for state in ("off", "on"):
            run(*in_namespace(netns, "ethtool", "-K", "a0", "tso", state))
            with inside(netns):
                found = active_features("a0")
            lines = run(*in_namespace(netns, "ethtool", "-k", "a0")).stdout.splitlines()
            shown = {line.partition(":")[0].strip(): ": on" in line for line in lines}
            assert {"tx-tcp-segmentation", "tx-tcp6-segmentation"} <= shown.keys()
            for name in ("tx-tcp-segmentation", "tx-tcp6-segmentation", "tx-udp-segmentation", "highdma"):
                assert (name in found) is shown[name], name
