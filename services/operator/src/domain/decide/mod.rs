//! What is the matter with a scaler, and what would help.
