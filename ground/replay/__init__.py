"""Replay: a mission in simulated time, from the orbit to the map on the ground.

A *scenario* (`scenario`, its file `scenario_file`) is planned before anything runs (`passes`,
`captures`, `checks`), its frames are made (`scenes`), and every *strategy* flies it (`flight`) with
the service, outbox, link and receiver that really fly (`craft`, `contact`). The logs, held against
the truth, are the *result* (`findings`, `result`); people read it as a page (`page`, `words`).
"""
