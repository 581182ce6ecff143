"""What is learned from silver and gold, per tenant: chunks, embeddings, the knowledge graph, features."""
