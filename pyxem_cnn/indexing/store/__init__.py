"""Stores: predictions that are kept block by block while a scan is mapped."""
