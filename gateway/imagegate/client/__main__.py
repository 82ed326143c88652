"""`python -m imagegate.client`: the command line."""

from imagegate.client.cli import main

main()
