//! The delivery service as a process of its own.

fn main() -> std::process::ExitCode {
    selvage_boot::main::<selvage_boot::Stored<selvage_delivery::App>>()
}
