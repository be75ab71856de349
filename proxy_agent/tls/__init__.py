"""Pure rules about names and certificates, shared by both containers: standard library and cryptography only."""
