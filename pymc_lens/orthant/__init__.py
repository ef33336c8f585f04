"""Normal distributions without their negative part."""
