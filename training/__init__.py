"""Training on the ground: chips to a signed bundle. Imports `onboard` for shared definitions."""
