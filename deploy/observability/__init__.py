"""What is made from the lists of this folder: `make observability` writes it, a test finds what was not written."""
