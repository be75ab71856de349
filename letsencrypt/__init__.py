"""The letsencrypt container: obtains and renews certificates with certbot, and publishes them as bundles."""
