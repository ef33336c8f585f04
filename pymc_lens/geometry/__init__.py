"""Interpolation and finite volumes in the plane; nothing here knows a mesh."""
