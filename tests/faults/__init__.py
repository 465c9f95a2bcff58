"""The real command in real processes, against real sockets, disks and signals."""

import pytest

for name in ("launching", "project", "worlds"):
    pytest.register_assert_rewrite(f"tests.faults.{name}")
