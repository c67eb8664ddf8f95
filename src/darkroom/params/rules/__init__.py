"""Rules about several keys of params.yaml, which no single key can break."""
