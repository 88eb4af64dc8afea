"""Attacks of a malicious server: it chooses what the clients receive."""
