"""The ground station: receive, decode, show. Imports `onboard` for the wire formats."""
