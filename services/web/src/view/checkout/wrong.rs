//! Which fields of the checkout form aren't right, and what the buyer is told about each.

/// The sentence for each field of the form.
const SENTENCES: [(&str, &str); 9] = [
    ("email", "Please give an e-mail address like name@example.org, for the confirmation."),
    ("recipient", "Please give the recipient's name, up to 100 characters."),
    ("line1", "Please give street and number, up to 100 characters."),
    ("line2", "Please keep this line under 100 characters."),
    ("postal_code", "This doesn't look like a postal code of that country."),
    ("city", "Please give the city, up to 100 characters."),
    ("country", "Please choose a country."),
    ("speed", "This delivery isn't offered for that country. Please choose another."),
    ("card", "Please choose how to pay."),
];

/// The fields that aren't right, each with its sentence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WrongFields(Vec<(&'static str, &'static str)>);

impl WrongFields {
    /// The sentence for a field; empty if it is right.
    pub fn of(&self, field: &str) -> &'static str {
        self.0.iter().find(|(name, _)| *name == field).map_or("", |(_, sentence)| sentence)
    }

    /// Whether all fields are right.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a field by its name in the form; `false` if the form has no such field.
    pub(super) fn add(&mut self, field: &str) -> bool {
        let Some(known) = SENTENCES.iter().find(|(name, _)| *name == field) else { return false };
        if !self.0.contains(known) {
            self.0.push(*known);
        }
        true
    }

    /// Adds a field by its name in checkout's request; `false` if nothing in the form stands for it.
    pub(super) fn add_of_request(&mut self, field: &str) -> bool {
        self.add(match field.strip_prefix("address.").unwrap_or(field) {
            "lines" | "lines[0]" => "line1",
            "lines[1]" => "line2",
            "payment_token" => "card",
            other => other,
        })
    }
}
