"""Text into vectors, and finding them again: chunking, encoders, the vector index, search.

What belongs here takes text and connections and gives vectors and hits; no Dagster, nothing else of ours.
"""
