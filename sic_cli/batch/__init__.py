"""Many files in one go: what to do (find, plan), doing it (run, pool), what became of it (report).

Nothing here knows the codec: a task is handed in, which takes one planned file from disk to disk.
"""
