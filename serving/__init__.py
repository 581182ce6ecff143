"""The lake for others: the HTTP API and the dashboard.

What belongs here reads gold and platinum and answers; nothing here changes the lake.
"""
