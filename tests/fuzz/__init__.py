"""Fuzzing: functions of bytes that must never raise (targets.py), and what drives them (drive.py)."""
