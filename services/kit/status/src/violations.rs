use crate::{Error, ErrorCode, Result};

/// The wrong fields of a request, collected while it is read, so that its sender learns of all of them at once.
///
/// ```
/// use selvage_status::{FieldViolations, Result};
///
/// fn parse(page_size: i32, order_id: &str) -> Result<(i32, u128)> {
///     let mut violations = FieldViolations::default();
///     violations.require(page_size >= 0, "page_size", "must not be negative");
///     let order_id = violations.parse("order_id", order_id, "must be a number");
///     violations.finish(order_id.map(|order_id| (page_size, order_id)))
/// }
///
/// assert_eq!(parse(24, "7").unwrap(), (24, 7));
/// assert!(parse(-1, "seven").unwrap_err().to_string().contains("page_size"));
/// ```
#[derive(Debug, Default)]
#[must_use = "a request with wrong fields is refused by `finish` or `none`"]
pub struct FieldViolations(Vec<(String, String)>);

impl FieldViolations {
    /// Notes a wrong field by its name in the API, for example `lines[2].quantity`, and what would be right.
    pub fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.0.push((field.into(), description.into()));
    }

    /// Notes a field unless it is `right`.
    pub fn require(&mut self, right: bool, field: impl Into<String>, description: impl Into<String>) {
        if !right {
            self.add(field, description);
        }
    }

    /// The value that was read from a field; where there is none, the field is noted.
    pub fn value<T>(&mut self, field: &str, value: Option<T>, description: impl Into<String>) -> Option<T> {
        self.require(value.is_some(), field, description);
        value
    }

    /// The value that `text` is; where it is none, the field is noted.
    pub fn parse<T: std::str::FromStr>(&mut self, field: &str, text: &str, description: &str) -> Option<T> {
        self.value(field, text.parse().ok(), description)
    }

    /// Notes the wrong fields of a message within the request: `prefix` stands before their names.
    pub fn add_below<D: Into<String>>(&mut self, prefix: &str, fields: impl IntoIterator<Item = (String, D)>) {
        for (field, description) in fields {
            self.add(format!("{prefix}.{field}"), description);
        }
    }

    /// `read`, what was made of the request.
    ///
    /// # Errors
    /// INVALID_ARGUMENT with all fields that were noted, for the caller to correct. INTERNAL if none was and nothing was read
    /// all the same: a mistake in the reading.
    pub fn finish<T>(self, read: Option<T>) -> Result<T> {
        self.none()?;
        read.ok_or_else(|| Error::internal("a request was not read, and no field of it found wrong"))
    }

    /// Whether no field is wrong.
    ///
    /// # Errors
    /// INVALID_ARGUMENT with all fields that were noted, for the caller to correct.
    pub fn none(self) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let error = Error::new(ErrorCode::InvalidArgument, "the request has wrong fields");
        Err(self.0.into_iter().fold(error, |error, (field, description)| error.field(field, description)))
    }
}

#[cfg(test)]
mod tests {
    use tonic::{Code, Status};

    use super::*;

    #[test]
    fn all_wrong_fields_are_named_in_their_order() {
        let mut violations = FieldViolations::default();
        assert_eq!(violations.parse::<u8>("page_size", "24", "must be a number"), Some(24));
        violations.require(true, "speed", "must be known");
        assert_eq!(violations.value("sku", None::<u8>, "must be given"), None);
        assert_eq!(violations.parse::<u8>("quantity", "many", "must be a number"), None);
        violations.add_below("address", [("city".to_owned(), "must be given")]);
        let status = Status::from(violations.finish(Some(())).unwrap_err());
        assert_eq!(status.code(), Code::InvalidArgument);
        let fields: Vec<_> = crate::field_violations(&status).into_iter().map(|(field, _)| field).collect();
        assert_eq!(fields, ["sku", "quantity", "address.city"]);
    }

    #[test]
    fn what_was_read_is_returned_if_nothing_is_wrong() {
        assert_eq!(FieldViolations::default().finish(Some(7)).unwrap(), 7);
        assert_eq!(FieldViolations::default().finish(None::<u8>).unwrap_err().code(), ErrorCode::Internal);
    }
}
