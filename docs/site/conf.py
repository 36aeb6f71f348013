"""Settings of Sphinx for the manual: see build.py."""

project = "Ranvier"
author = "The Ranvier authors"
extensions = ["myst_nb"]
root_doc = "docs/index"
html_theme = "furo"
html_title = "Ranvier"
html_show_copyright = False
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
nb_execution_mode = "off"  # the tests run every program
python_maximum_signature_line_length = 88
toc_object_entries = False
suppress_warnings = [
    "myst.header",  # headings of docstrings and notebooks may begin at any level
    "myst.xref_missing",  # links to files of the source, which the manual does not hold
    "mystnb.unknown_mime_type",
    "ref.python",  # a type in a signature that two vocabularies have
]
