"""Files by path and by URL (s3://, gs://, https://, ...), memory, and where things lie on a machine.

`access` is what the folders above call: it takes both kinds of names. fsspec, and whatever it needs for a
kind of URL, is imported when the first URL comes, and never before.
"""
