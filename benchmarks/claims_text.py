"""What the page of `dp_claims.py` says in words."""

ABOUT = """
Recorded from `python benchmarks/dp_claims.py`.
"""

VERDICTS = """
"""
