//! The table of numbers, as the operator's `rules.md` has it. `SELVAGE_OPERATOR=write cargo test -p selvage-operator` writes it.

use super::super::rules;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/rules.md");
const BEGINNING: &str = "# The numbers by which the operator decides\n\n\
    [decide](src/domain/decide/mod.rs) says which class of trouble each of them belongs to. The table is that of\n\
    [rules.rs](src/domain/decide/rules.rs), and is written by a test:\n\
    `SELVAGE_OPERATOR=write cargo test -p selvage-operator`.\n\n";

#[test]
fn the_page_says_the_numbers_that_the_code_has() {
    let wanted = format!("{BEGINNING}{}", rules::markdown());
    if std::env::var_os("SELVAGE_OPERATOR").is_some_and(|wish| wish == "write") {
        std::fs::write(PAGE, &wanted).expect("it is written");
    }
    let found = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(rules::TABLE.len() > 30 && rules::TABLE.iter().all(|rule| rule.why.len() > 20));
    assert!(found == wanted, "rules.md says something else: SELVAGE_OPERATOR=write cargo test -p selvage-operator");
}
