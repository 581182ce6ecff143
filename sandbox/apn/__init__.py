"""A stand-in for the database in which an AWS partner keeps what Partner Central (APN) tells it: a real Postgres.

The tables are the project's own proposal (`apn_schema.sql`), not a schema that AWS publishes.
"""
