"""Layer 0, the mean colours of a picture: a preview that needs no transform and no model's weights."""
