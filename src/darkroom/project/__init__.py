"""The project on this machine: paths, atomic writes and locks, file names, processes, fingerprints.

What knows this machine and no image. Code that would serve any program has no place here.
"""
