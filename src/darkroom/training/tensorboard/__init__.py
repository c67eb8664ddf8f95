"""What TensorBoard shows of a training. No result depends on it."""
