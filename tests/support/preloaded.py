"""Import the whole package: the processes of `syscalls` then start with it, in milliseconds."""

import importlib
import pkgutil

import darkroom

for _module in pkgutil.walk_packages(darkroom.__path__, "darkroom."):
    if "kaggle" not in _module.name:  # its clients write a folder of settings when imported
        importlib.import_module(_module.name)
