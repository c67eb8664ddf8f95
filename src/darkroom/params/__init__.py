"""params.yaml, typed: one class a section, one declaration a key."""
