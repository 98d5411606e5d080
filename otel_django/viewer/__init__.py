"""The pages: what a site is doing, in the browser, over what the readers have.

``urls`` lists the pages; each is a module of ``pages`` with a template of the same name.
"""
