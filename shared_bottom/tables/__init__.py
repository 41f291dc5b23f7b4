"""Real data sets, read into the arrays that `spec.Dataset` holds."""
