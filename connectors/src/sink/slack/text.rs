//! Texts in Slack's mrkdwn: escaped, and cut where that breaks nothing.

/// Slack's three escapes. What is escaped is text to it: no mention, no link.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // Emphasis would swallow what stands between two of them.
            '*' | '_' | '~' | '`' => out.extend(['\u{200b}', c]),
            c if c.is_control() && c != '\n' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// For a `plain_text` object, where escapes would be shown: angle brackets become others that mean nothing to Slack.
pub(super) fn plain(text: &str) -> String {
    let shown = |c: char| match c {
        '<' => '‹',
        '>' => '›',
        c if c.is_control() => ' ',
        c => c,
    };
    text.chars().map(shown).collect()
}

/// In a code span, on one line.
pub(super) fn code(text: &str) -> String {
    format!("`{}`", verbatim(text, 300, false))
}

/// In a code block of at most `chars_max` characters, its fences included.
pub(super) fn code_block(text: &str, chars_max: usize) -> String {
    format!("```{}```", verbatim(text, chars_max - 6, true))
}

/// Escaped, without backticks, cut before an escape that would not fit.
fn verbatim(text: &str, chars_max: usize, lines: bool) -> String {
    let mut out = String::new();
    let mut chars = 0;
    for c in text.chars() {
        let mut one = [0; 4];
        let part = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            '`' => "'",
            '\n' if lines => "\n",
            c if c.is_control() => " ",
            c => c.encode_utf8(&mut one),
        };
        // An escape is ASCII, anything else one character; one place is kept for the ellipsis.
        let width = if part.starts_with('&') { part.len() } else { 1 };
        if chars + width >= chars_max {
            out.push('…');
            break;
        }
        out.push_str(part);
        chars += width;
    }
    out
}

/// The first characters, and never half an escape or an open code span.
pub(super) fn cut(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    // One place for the ellipsis, one for the code span's end.
    let mut out: String = text.chars().take(chars_max - 2).collect();
    if let Some(at) = out.rfind('&')
        && !out[at..].contains(';')
    {
        out.truncate(at);
    }
    let open = out.matches('`').count() % 2 == 1;
    out.push('…');
    if open {
        out.push('`');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup() {
        assert_eq!(escape("<!channel> & <@U1>"), "&lt;!channel&gt; &amp; &lt;@U1&gt;");
        assert_eq!(escape("a*b"), "a\u{200b}*b");
        assert_eq!(code("a`b\nc<d"), "`a'b c&lt;d`");
        assert_eq!(code_block("x```<!here>", 100), "```x'''&lt;!here&gt;```");
    }

    #[test]
    fn cuts_are_within_the_limit_and_whole() {
        for length in 10..40 {
            let block = code_block(&"<>&`é".repeat(40), length);
            assert!(block.chars().count() <= length && block.ends_with("…```"), "{block}");
            let text = cut(&escape(&"a&<".repeat(40)), length);
            assert!(text.chars().count() <= length, "{text}");
            let inside = text.trim_end_matches('…');
            assert!(inside.ends_with(['a', ';']), "{text}");
        }
        assert_eq!(cut("`abcdefgh`", 6), "`abc…`");
        assert_eq!(cut("short", 6), "short");
    }
}
