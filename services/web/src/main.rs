//! `selvage-web`: the shop's pages in a process of their own.

fn main() -> std::process::ExitCode {
    selvage_boot::main::<selvage_web::Web>()
}
