"""A Batch API in a box: the built-in provider `local`.

A real server (Files and Batches over HTTP on loopback) with its own database and files, so that
everything above `runner.api` treats it as it treats any other provider, and a first run needs
neither key nor network.

    provider.py     starts and stops it all; what the rest of runner uses
    server.py       the thread that speaks HTTP
    app.py          the routes; upload.py takes files in, orders.py reads what is asked for,
                    refusals.py says no
    worker.py       the thread that answers batches; rows.py reads their input and
                    validation.py checks it first
    store.py        the database and the folder of files; schema.py has its tables, records.py
                    what is in them
    registry.py     which models there are; echo.py and embeddings.py are those models, and
                    answers.py what they give
"""
