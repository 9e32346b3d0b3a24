"""Sanctions and PEP lists: a parser for each format, versions that can be compared, downloads that do no harm.

The way of a list: `download` brings the files, `formats` recognises them and has them read into entries, `plausibility`
judges the whole against the version in force, `library` stores it, and puts it in force or into quarantine. `sources`
says where the official lists are.
"""
