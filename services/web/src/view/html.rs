//! Descriptions, which come from feeds.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use ammonia::Builder;

/// What a description may consist of; no attribute at all.
static DESCRIPTION: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut builder = Builder::empty();
    builder
        .tags(HashSet::from(["p", "br", "ul", "ol", "li", "strong", "em"]))
        .clean_content_tags(HashSet::from(["script", "style"]))
        .generic_attributes(HashSet::new())
        .tag_attributes(HashMap::new());
    builder
});

/// The description as it may stand in a page. The catalogue cleans what it takes in; it is cleaned again where it is
/// shown, because that is where it would do harm.
pub fn description(html: &str) -> String {
    DESCRIPTION.clean(html).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_and_its_structure_remain() {
        let cleaned = description(
            "<p onclick=x>Soft &amp; <strong>warm</strong><script>alert(1)</script><img src=x onerror=y></p><a href=javascript:x>k</a>",
        );
        assert_eq!(cleaned, "<p>Soft &amp; <strong>warm</strong></p>k");
        assert_eq!(description("5 < 7 & more"), "5 &lt; 7 &amp; more");
    }
}
