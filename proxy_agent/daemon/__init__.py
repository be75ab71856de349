"""What every long-running process here shares: settings, errors, whole files, logs, and a sleep that can be rung."""
