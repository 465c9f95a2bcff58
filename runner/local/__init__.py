"""The built-in provider `local`: a Batch API on this machine.

It is a real server (Files and Batches over HTTP on loopback) with its own database and files, so
that runner uses it like any other provider, and a first run needs neither an API key nor a network.

    provider.py     the entry point: starts and stops the HTTP server and the worker, each a thread
    app.py          the routes; requests.py parses request bodies and queries, upload.py receives
                    files, errors.py has the error replies
    worker.py       the thread that processes batches; validation.py checks their input, rows.py
                    reads it
    store.py        the database and the folder of files; records.py has the values in it
    registry.py     the models by endpoint and name: echo.py and embeddings.py; models.py has the
                    response type of a model
"""
