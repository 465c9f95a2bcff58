"""The real command in real processes, against real sockets, disks and signals."""

import pytest

for name in ("launching", "project", "relay", "sweeping", "worlds"):
    pytest.register_assert_rewrite(f"tests.faults.{name}")
