"""The lake over HTTP.

What belongs here answers requests; nothing here changes the lake: what webhooks bring waits in a queue until a run reads it.
"""
