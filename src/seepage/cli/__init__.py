"""The command line: thin commands over the rooms below, and the exit codes."""
