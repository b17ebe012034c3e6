//! Products' descriptions, which are HTML from merchants' feeds.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use ammonia::Builder;

/// The elements that a description may consist of, without any attribute.
static DESCRIPTION: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut builder = Builder::empty();
    builder
        .tags(HashSet::from(["p", "br", "ul", "ol", "li", "strong", "em"]))
        .clean_content_tags(HashSet::from(["script", "style"]))
        .generic_attributes(HashSet::new())
        .tag_attributes(HashMap::new());
    builder
});

/// The description as it may stand in a page. The catalogue cleans descriptions when it takes them in. They are cleaned again
/// here, because shown in a page is where a wrong one would do harm.
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
