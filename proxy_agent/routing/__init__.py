"""Pure rules from containers to HAProxy's configuration: no clock, no files, no network."""
