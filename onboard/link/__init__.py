"""The radio link, sending side: packets, files and frames as CCSDS defines them.

From the bottom: `frames` (the radio's fixed blocks), `packets` with `apid`, `cds` and `counters`,
and what packets hold: `alerts`, `housekeeping`, `acks` of commands, and pieces of files by `cfdp`.
`downlink` fills a pass from the outbox; `transfers`, `sender` and `returns` keep class-2 files
going until the ground has them. The receiving side is in `ground`.
"""
