"""One module a stage, named like it: its parameters, its inputs, one verb, its outputs."""
