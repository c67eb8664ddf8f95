"""What the pipeline is measured by, beside what people usually do and what physics allows."""
