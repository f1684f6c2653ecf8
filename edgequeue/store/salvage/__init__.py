"""Salvage: a damaged database is moved aside, and what can be read of it goes into a new one. Nothing is deleted.

    detect    what is wrong with files that were not closed, before SQLite opens them
    pages     one page as bytes: cells, records                          (pure)
    log       the write-ahead log as bytes: which frames can be believed (pure)
    shapes    what rows of our tables look like                          (pure)
    image     the pages as they stand in file and log together
    trees     every row that the trees lead to, and those of pages adrift
    copying   those rows into a new database
    states    what each event came to, and books that balance
    rebuild   the new database, whole and flushed
    aside     the damaged files moved aside, and the new one in their place
    salvage   the steps in their order, for one process at a time

Only what is damaged ever comes here: opening a database that was closed imports none of it.
"""
