"""Before a submission is sent: the file is valid, and made from committed files."""
