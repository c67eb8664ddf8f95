"""What knows this machine and no image.

Paths, atomic writes and locks, file names, worker processes, fingerprints. Code that would serve
any program has no place here.
"""
