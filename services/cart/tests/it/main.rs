//! The service at its edges: its database, and its rpcs.
