"""Modules that keep nothing for backward but their arguments."""
