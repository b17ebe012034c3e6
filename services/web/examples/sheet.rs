//! scratch
fn main() { for k in std::env::args().skip(1) { std::fs::write(format!("/tmp/web/{k}.svg"), selvage_web::drawing::draw(&k.parse().unwrap())).unwrap(); } }
