"""Tests of the tools that write the documentation and the committed files."""
