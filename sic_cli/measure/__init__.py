"""Metrics: how far a picture is from another one."""

from .psnr import psnr

__all__ = ["psnr"]
