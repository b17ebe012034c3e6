//! The fields of a query or a form. Reading them can't fail: the page that takes them says in words what is wrong.

/// Fields that are read; ours have under 60. Those beyond are passed over.
const MAX_FIELDS: usize = 128;

/// Fields in their order; a name may occur several times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads `application/x-www-form-urlencoded` text. Bytes that aren't UTF-8 become U+FFFD.
    pub fn parse(encoded: &[u8]) -> Self {
        Self(form_urlencoded::parse(encoded).take(MAX_FIELDS).map(|(k, v)| (k.into_owned(), v.into_owned())).collect())
    }

    /// The first value of `name`, without white space around it; empty if there is none.
    pub fn get(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    /// All values of `name`, without white space around them, the empty ones left out.
    pub fn all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.0
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.trim())
            .filter(|value| !value.is_empty())
    }
}

/// Writes fields as a query, without the question mark.
pub(crate) fn encode<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_survive_the_way() {
        let fields = Fields::parse(b"size=M&size=+L+&colour=Caf%C3%A9+%26+Cr%C3%A8me&empty=&bad=%ff%zz");
        assert_eq!(fields.all("size").collect::<Vec<_>>(), ["M", "L"]);
        assert_eq!(fields.get("colour"), "Café & Crème");
        assert_eq!((fields.get("empty"), fields.get("none")), ("", ""));
        assert_eq!(Fields::parse(encode([("a b", "ü&=")]).as_bytes()).get("a b"), "ü&=");
    }
}
