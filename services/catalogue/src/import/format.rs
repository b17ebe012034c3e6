use std::path::Path;

/// How a feed is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Shopify's product CSV.
    ShopifyCsv,
    /// One product a line, as JSON.
    JsonLines,
}

impl Format {
    /// Tells the format by a feed's first bytes, or else by its file's extension; `None` if neither says.
    pub fn detect(path: &Path, beginning: &[u8]) -> Option<Self> {
        let text = beginning.strip_prefix(b"\xef\xbb\xbf").unwrap_or(beginning).trim_ascii_start();
        match text.first() {
            Some(b'{') => return Some(Self::JsonLines),
            // An array of products, or XML: nothing that we read, whatever it is called.
            Some(b'[' | b'<') => return None,
            _ => {}
        }
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        match extension.as_str() {
            "csv" | "tsv" => return Some(Self::ShopifyCsv),
            "jsonl" | "ndjson" => return Some(Self::JsonLines),
            _ => {}
        }
        let heading = text.split(|byte| *byte == b'\n').next().unwrap_or_default().to_ascii_lowercase();
        let has = |word: &[u8]| heading.windows(word.len()).any(|part| part == word);
        (has(b"handle") && has(b"title")).then_some(Self::ShopifyCsv)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_speaks_before_the_name_does() {
        let detect = |path: &str, beginning: &[u8]| Format::detect(Path::new(path), beginning);
        assert_eq!(detect("feed.csv", b"Handle,Title"), Some(Format::ShopifyCsv));
        assert_eq!(detect("feed", b"\xef\xbb\xbf\"Title\",\"URL handle\"\r\n"), Some(Format::ShopifyCsv));
        assert_eq!(detect("feed.csv", b"\n {\"slug\":"), Some(Format::JsonLines));
        assert_eq!(detect("feed.ndjson", b""), Some(Format::JsonLines));
        assert_eq!(detect("feed.json", b"[{}]"), None);
        assert_eq!(detect("notes.txt", b"hello"), None);
    }
}
