"""One module per source type, all with the protocol of `base.Connector`.

What belongs here: how a source is asked and what its answers mean. What does not: the lake's files, days, Dagster.
To add a source type, write its module and name its `SOURCE` among the entry points `revlake.sources` in pyproject.toml.
"""
