//! What somebody sees of a page who reads its links and fills in its forms.

use std::cell::RefCell;
use std::collections::BTreeMap;

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};

/// Letters of a page that an error repeats: its heading and a sentence.
const MAX_SAID: usize = 300;

/// A page.
#[derive(Clone, Debug, Default)]
pub(super) struct Page {
    /// The forms, in order.
    pub(super) forms: Vec<Form>,
    /// The links, in order, each with its text.
    pub(super) links: Vec<(String, String)>,
    /// The first heading.
    pub(super) heading: String,
    /// What is said with the role "alert".
    pub(super) alert: String,
    /// The text of the main part.
    text: String,
}

/// A form, with what would be sent if nothing were filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Form {
    /// Where it is sent.
    pub(super) action: String,
    fields: BTreeMap<String, String>,
    /// Of each field with radio buttons, the values that can be chosen.
    pub(super) choices: BTreeMap<String, Vec<String>>,
}

impl Form {
    /// The same with a field filled in.
    #[must_use]
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Whether it has this field.
    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl Page {
    /// Reads its markup as browsers do, with whatever is wrong in it.
    pub(super) fn read(markup: &str) -> Self {
        let tokens = Tokenizer::new(Reader::default(), TokenizerOpts::default());
        let input = BufferQueue::default();
        input.push_back(StrTendril::from_slice(markup));
        // It would stop where the reader asks it to, which it never does.
        let _ = tokens.feed(&input);
        tokens.end();
        let mut page = tokens.sink.0.into_inner().page;
        for text in [&mut page.heading, &mut page.alert, &mut page.text] {
            *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        }
        for (_, text) in &mut page.links {
            *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        }
        page
    }

    /// The form that is sent there.
    pub(super) fn form(&self, action: &str) -> Option<&Form> {
        self.forms.iter().find(|form| form.action == action)
    }

    /// The addresses of links that begin so, each once.
    pub(super) fn links_to(&self, beginning: &str) -> Vec<&str> {
        let mut found: Vec<&str> = Vec::new();
        for (at, _) in self.links.iter().filter(|(at, _)| at.starts_with(beginning)) {
            if !found.contains(&at.as_str()) {
                found.push(at);
            }
        }
        found
    }

    /// What it says, cut off, for an error.
    pub(super) fn says(&self) -> String {
        let text = if self.alert.is_empty() { &self.text } else { &self.alert };
        text.chars().filter(|letter| !letter.is_control()).take(MAX_SAID).collect()
    }
}

/// Makes a page of the markup's tokens.
#[derive(Default)]
struct Reader(RefCell<Reading>);

#[derive(Default)]
struct Reading {
    page: Page,
    /// The form that is open.
    form: Option<Form>,
    /// The select that is open, and whether one of its options was chosen.
    select: Option<(String, bool)>,
    /// The elements that are open and whose text is wanted, the innermost last.
    open: Vec<(String, Part)>,
}

/// Where a text belongs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Heading,
    Alert,
    Link,
    Main,
}

impl TokenSink for Reader {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut reading = self.0.borrow_mut();
        match token {
            Token::TagToken(tag) if tag.kind == TagKind::StartTag => {
                reading.starts(&tag);
                // What is in them is no markup.
                return match &*tag.name {
                    "script" => TokenSinkResult::RawData(RawKind::ScriptData),
                    "style" => TokenSinkResult::RawData(RawKind::Rawtext),
                    _ => TokenSinkResult::Continue,
                };
            }
            Token::TagToken(tag) => reading.ends(&tag.name),
            Token::CharacterTokens(text) => reading.text(&text),
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

fn attribute(tag: &Tag, name: &str) -> Option<String> {
    tag.attrs.iter().find(|found| &*found.name.local == name).map(|found| found.value.to_string())
}

impl Reading {
    fn starts(&mut self, tag: &Tag) {
        let get = |name: &str| attribute(tag, name);
        match &*tag.name {
            "form" => self.form = Some(Form { action: get("action").unwrap_or_default(), ..Form::default() }),
            "input" => self.field(tag),
            "select" => self.select = get("name").map(|name| (name, false)),
            "option" => {
                if let (Some(form), Some((name, chosen))) = (&mut self.form, &mut self.select) {
                    let selected = get("selected").is_some();
                    // The first one, unless another is chosen.
                    if selected || !form.has(name) {
                        form.fields.insert(name.clone(), get("value").unwrap_or_default());
                    }
                    *chosen |= selected;
                }
            }
            "a" => {
                self.page.links.push((get("href").unwrap_or_default(), String::new()));
                self.open.push(("a".to_owned(), Part::Link));
            }
            "h1" if self.page.heading.is_empty() => self.open.push(("h1".to_owned(), Part::Heading)),
            "main" => self.open.push(("main".to_owned(), Part::Main)),
            // Words of two lines are two words.
            "br" | "p" | "li" | "dt" | "dd" | "span" => self.text(" "),
            _ => {}
        }
        if get("role").as_deref() == Some("alert") {
            self.open.push((tag.name.to_string(), Part::Alert));
        }
    }

    /// What a browser sends of a field that nobody has touched.
    fn field(&mut self, tag: &Tag) {
        let get = |name: &str| attribute(tag, name);
        let (Some(form), Some(name)) = (&mut self.form, get("name")) else { return };
        if get("disabled").is_some() {
            return;
        }
        let value = get("value");
        match get("type").as_deref().unwrap_or("text") {
            "radio" => {
                let value = value.unwrap_or_else(|| "on".to_owned());
                form.choices.entry(name.clone()).or_default().push(value.clone());
                if get("checked").is_some() {
                    form.fields.insert(name, value);
                }
            }
            "checkbox" if get("checked").is_none() => {}
            "submit" | "button" | "image" | "reset" | "file" => {}
            _ => drop(form.fields.insert(name, value.unwrap_or_default())),
        }
    }

    fn ends(&mut self, name: &str) {
        match name {
            "form" => self.page.forms.extend(self.form.take()),
            "select" => self.select = None,
            _ => {
                if let Some(at) = self.open.iter().rposition(|(open, _)| open == name) {
                    self.open.truncate(at);
                }
            }
        }
    }

    fn text(&mut self, text: &str) {
        for (_, part) in &self.open {
            match part {
                Part::Heading => self.page.heading.push_str(text),
                Part::Alert => self.page.alert.push_str(text),
                Part::Link => {
                    if let Some((_, of)) = self.page.links.last_mut() {
                        of.push_str(text);
                    }
                }
                Part::Main => self.page.text.push_str(text),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKUP: &str = "<!doctype html><title>x</title><script>\"<a href=/p/no>\"</script><main>\
        <h1>Order <br>A&amp;B</h1><p role=\"alert\">Sold <b>out</b>.</p><p>Bye.</p>\
        <a href=\"/p/a?b=1&amp;c=2\"><span>One</span><span>two</span></a><a href=\"/p/a?b=1&amp;c=2\">again</a><a href=\"/x\">x</a>\
        <form action=\"/find\"><input name=q></form>\
        <form method=\"post\" action=\"/bag\"><input type=hidden name=csrf value=\"a&quot;b\"><input name=city>\
        <input type=radio name=size value=S disabled><input type=radio name=size value=M><input type=radio name=size value=L checked>\
        <input type=checkbox name=gift value=1><select name=country><option value=AT>A<option value=DE selected>D<option value=CH>C</select>\
        <select name=speed><option value=slow><option value=fast></select><button name=do value=place>Go</button></form></main>";

    #[test]
    fn a_form_sends_what_it_has_been_given_and_offers_its_choices() {
        let page = Page::read(MARKUP);
        assert_eq!(page.forms.len(), 2);
        let form = page.form("/bag").unwrap();
        let pairs: Vec<_> = form.pairs().collect();
        assert_eq!(
            pairs,
            [("city", ""), ("country", "DE"), ("csrf", "a\"b"), ("size", "L"), ("speed", "slow")],
            "neither the button nor what isn't ticked"
        );
        assert_eq!(form.choices["size"], ["M", "L"]);
        assert_eq!(form.clone().with("size", "M").pairs().nth(3), Some(("size", "M")));
        assert!(page.form("/nowhere").is_none());
    }

    #[test]
    fn its_words_are_read_apart_from_its_markup() {
        let page = Page::read(MARKUP);
        assert_eq!((page.heading.as_str(), page.alert.as_str()), ("Order A&B", "Sold out."));
        assert_eq!(page.says(), "Sold out.");
        assert_eq!(page.links_to("/p/"), ["/p/a?b=1&c=2"]);
        assert_eq!(page.links[0].1, "One two");
        assert_eq!(Page::read("<main><p>Gone<p>for\u{7} good").says(), "Gone for good");
        assert_eq!(Page::read("<form action=/a><input name=b").forms.len(), 0);
    }
}
