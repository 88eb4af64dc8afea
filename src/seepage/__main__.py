"""`python -m seepage` is `seepage`."""

from .cli.main import main

main()
