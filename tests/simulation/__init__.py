"""A provider of the Batch API that lives in memory, with scriptable faults and a truth to check.

`world` answers requests, `transport` puts it under an httpx client without sockets, and `http`
serves it on the loopback interface. Nothing in here uses the code under test.
"""
