"""Adobe streaming connections: created, looked up and checked through Flow Service.

    settings   the table `[flow_service]`
    wanted     what a connection is to be, and the bodies of the tutorial's requests   (pure)
    mapping    mapping files, and whether a mapping set is the one that is wanted      (pure)
    steps      each object: how it is looked up, recognised and made                   (pure)
    answers    what Flow Service's answers mean, in words and with a remedy            (pure)
    checks     whether schema and dataset are there and fit                            (pure)
    client     requests with credentials, repeated where that is safe; pages
    finding    what is there already: listed, or named in the configuration; one of several
    create     one step after the other: look up, else make, and look until it is listed
    survey     which connections there are

Nothing is ever changed or deleted at Adobe: what does not fit is refused, with what there is and what to do.
"""
