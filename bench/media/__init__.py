"""The receive path beside its peers: what it costs, how long it waits, what it loses. See bench/README.md.

    make bench-media
    .venv/bin/python -m bench.media --only latency --receivers offhook stock

One process calls and speaks (`generator`), another one answers and listens (`receivers`), each on a core of its own.
"""
