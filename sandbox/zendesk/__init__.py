"""A stand-in for Zendesk Support: exports, lists, its limits and its wording, as recorded in 2023 and 2024."""
