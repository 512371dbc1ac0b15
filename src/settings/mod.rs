//! Raw options become checked settings.
