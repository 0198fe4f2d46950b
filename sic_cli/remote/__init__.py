"""Files that are named by URLs (s3://, gs://, https://, ...), beside those that are named by paths.

`either` is what the other rooms call: it takes both kinds of names. fsspec, and whatever it needs for
a kind of URL, is imported when the first URL comes, and never before.
"""
