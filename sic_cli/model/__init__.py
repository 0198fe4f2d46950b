"""Networks: tensors in, tensors out; no files, no bytes, no losses."""
