"""Random changes of training images. The only room that knows albumentations."""
