"""The agent beside HAProxy: sees containers and certificates, and keeps HAProxy's configuration true to them."""
