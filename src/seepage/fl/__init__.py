"""Federated training in process, and what each observer saw of it."""
