"""What stands before the first stage: a look at the machine, and a project to begin with."""
