"""The Batch API of a provider: what is asked of it, and what its answers mean.

`protocol.BatchApi` is what the rest of runner depends on; `client.Client` keeps it over HTTP and
is imported only where a call is about to be made, because importing an HTTP library is slow.
"""
