"""The radio link, sending side: packets, files and frames as CCSDS defines them."""
