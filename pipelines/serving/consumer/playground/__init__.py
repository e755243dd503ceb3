"""`genera play`: a page on this machine with sliders for finished models.

What a control does is a plain function of a module named after its tab (`sample_tab`, `complete_tab`, `code_tab`,
`score_tab`), which returns HTML and the lines of Python that give the same. `tabs` joins them to Gradio's components,
`page_blocks` makes a page of the tabs, and `local_server` shows it at 127.0.0.1. Like the rest of the command line for
consumers it imports nothing of the other packages here.
"""
