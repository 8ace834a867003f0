//! Templates: HTML with placeholders. The browser fills the same ones (page.js), so what a row looks like is written once.

use crate::status::markup;

/// What the placeholders of a template stand for.
pub(super) type Values = Vec<(&'static str, String)>;

/// Fills a template. `{name}` becomes the value as text, or as a part of an attribute: nothing in it is markup. `{!name}` becomes the
/// value as it is; only files of this folder and filled templates go there. Placeholders in values are none.
pub(super) fn fill(template: &str, values: &Values) -> String {
    let mut out = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((name, after)) = after.split_once('}') else { break };
        let (raw, name) = name.strip_prefix('!').map_or((false, name), |name| (true, name));
        let value = values.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
        debug_assert!(value.is_some(), "no value for {name}");
        let value = value.unwrap_or_default();
        out.push_str(&if raw { value.to_owned() } else { markup(value.as_bytes()) });
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The inside of the `<template>` of that id.
pub(super) fn inside<'a>(file: &'a str, id: &str) -> &'a str {
    let begin = format!("<template id=\"{id}\">");
    let found = file.split_once(begin.as_str()).and_then(|(_, rest)| rest.split_once("</template>"));
    debug_assert!(found.is_some(), "no template {id}");
    found.map_or("", |(inside, _)| inside)
}

/// A file: what stands before its first `<template>`, and its templates.
pub(super) fn parts(file: &str) -> (&str, &str) {
    file.split_at(file.find("<template").unwrap_or(file.len()))
}

/// Fills a template for each of them.
pub(super) fn list<'a, T: 'a>(
    template: &str,
    items: impl IntoIterator<Item = T>,
    values: impl Fn(T) -> Values,
) -> String {
    items.into_iter().map(|item| fill(template, &values(item))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_text_and_stay_text() {
        let hostile = "\"><script>{b}</script>".to_owned();
        let values = vec![("a", hostile), ("b", "<i>".to_owned())];
        assert_eq!(
            fill("<p title=\"{a}\">{b}{!b}</p>", &values),
            "<p title=\"&quot;&gt;&lt;script&gt;{b}&lt;/script&gt;\">&lt;i&gt;<i></p>"
        );
    }

    #[test]
    fn templates_are_found() {
        let file = "x<template id=\"a\">1</template><template id=\"b\">2</template>";
        assert_eq!((inside(file, "a"), inside(file, "b")), ("1", "2"));
        assert_eq!(parts(file).0, "x");
    }
}
