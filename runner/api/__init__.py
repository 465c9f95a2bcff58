"""The Batch API of a provider, over HTTP, and webhooks.

The rest of runner depends on `protocol.BatchApi`; `client.Client` implements it over HTTP. The
client is imported only where a call is about to be made: importing an HTTP library is slow.
"""
