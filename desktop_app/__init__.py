"""Logitscope: a desktop microscope for GPT-2."""

__version__ = "0.1.0"
