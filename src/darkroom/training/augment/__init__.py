"""Random changes of training images. The only package that imports albumentations."""
