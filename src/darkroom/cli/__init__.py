"""The command line: one module a command that is not a stage."""
