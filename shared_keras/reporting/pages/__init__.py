"""Pages that show a search, a run or the ladder in a browser, offline.

`page` writes one: its HTML, scripts and styles lie in `assets/`, and what it shows comes from
`data.js` beside it. Each other module collects the values of one kind of page. Nothing in Python
says how something looks, and no script computes what a picture or a table computes, too.
"""
