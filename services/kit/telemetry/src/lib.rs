//! What a process says of itself. For now its log; traces and metrics join it here.

pub mod logs;
