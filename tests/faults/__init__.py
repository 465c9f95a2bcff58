"""The real command in real processes, against real sockets, disks and signals."""
