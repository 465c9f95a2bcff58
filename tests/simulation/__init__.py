"""A provider of the Batch API in memory, with scripted faults and checks against what it did.

`world` answers requests, `transport` connects it to an httpx client without sockets, and `http`
serves it on the loopback interface. Nothing in here uses the code under test.
"""
