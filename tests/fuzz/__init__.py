"""Fuzzing: functions of bytes that must never raise (pipeline/rate_control.py), and what drives them (drive.py)."""
