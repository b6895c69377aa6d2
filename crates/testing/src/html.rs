//! What every page must be, whichever crate makes it.

use std::collections::BTreeSet;

/// A name that is more than a name, wherever somebody else chose the text.
pub const HOSTILE: &str = "<script>alert('1')</script>&\"\u{202e}";

/// What stands between each `open` and the `close` after it.
pub fn between<'a>(text: &'a str, open: &str, close: &str) -> Vec<&'a str> {
    text.split(open)
        .skip(1)
        .filter_map(|rest| rest.split_once(close))
        .map(|(inside, _)| inside)
        .collect()
}

/// A text without what stands between each `open` and the `close` after it.
pub fn without(text: &str, open: &str, close: &str) -> String {
    let mut pieces = text.split(open);
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |kept, piece| kept + piece.split_once(close).map_or("", |(_, rest)| rest))
}

/// The ids of messages that a template or a source file names in a call.
pub fn named_in(text: &str) -> impl Iterator<Item = &str> {
    ["text(\"", "text_with(\"", "with(\"", "with_count(\"", "counted(\""]
        .into_iter()
        .flat_map(|call| between(text, call, "\""))
}

/// The ids that a file of texts defines.
pub fn ids_of(ftl: &str) -> BTreeSet<String> {
    let entry = |line: &str| line.split_once(" =").map(|(id, _)| id.to_owned());
    ftl.lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_alphabetic()))
        .filter_map(entry)
        .collect()
}

/// Holds that a page is whole: nothing is left open, no text is missing, no id comes twice or is
/// pointed to in vain, and nothing in it is against the pages' policy.
pub fn must_be_whole(page: &str) {
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"), "{page}");
    assert!(
        page.contains("<html lang=\"en\">")
            && page.matches("<h1>").count() == 1
            && page.matches("<main").count() == 1,
        "{page}"
    );
    assert!(
        !page.contains("{$")
            && !page.contains("{ $")
            && !page.contains("{{")
            && !page.contains("<title></title>"),
        "{page}"
    );
    assert!(
        !page.contains(" style=") && !page.contains("<style") && !page.contains("<script>"),
        "the policy forbids it: {page}"
    );
    for tag in [
        "div", "form", "section", "fieldset", "ul", "ol", "li", "dl", "p", "button", "article",
        "label", "span", "details",
    ] {
        let opened =
            page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}: {page}");
    }
    let ids: Vec<&str> = between(page, " id=\"", "\"");
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "an id twice: {page}");
    for pointer in
        ["for=\"", "aria-describedby=\"", "aria-labelledby=\"", "href=\"#", "data-copies=\""]
    {
        for id in between(page, pointer, "\"") {
            assert!(ids.contains(&id), "{pointer}{id}: {page}");
        }
    }
}

/// Holds that [`HOSTILE`] is text on a page, and does not turn its title around.
pub fn must_keep_names_text(page: &str) {
    assert!(!page.contains("<script>") && !page.contains("</script>&"), "{page}");
    assert!(page.contains("&#60;script&#62;alert(&#39;1&#39;)&#60;/script&#62;&#38;"), "{page}");
    assert!(
        between(page, "<title>", "</title>").iter().all(|title| !title.contains('\u{202e}')),
        "{page}"
    );
}

/// Holds that a template has no text of its own: all of it comes from the files of texts.
pub fn must_hold_no_text(name: &str, source: &str) {
    let html = without(&without(&without(source, "{#", "#}"), "{{", "}}"), "{%", "%}");
    let text = without(&html, "<", ">");
    // The class names of the `kind` block stand outside of a tag in the templates, inside one
    // on the page.
    let text = text.replace("narrow", "").replace("wide", "");
    assert!(
        !text.contains(char::is_alphanumeric),
        "{name} holds text: {}",
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    );
    for attribute in ["aria-label=\"", "alt=\"", "title=\"", "placeholder=\"", "data-copied=\""] {
        for value in between(&html, attribute, "\"") {
            assert!(value.is_empty(), "{name}: {attribute}{value}");
        }
    }
}
