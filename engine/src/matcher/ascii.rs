//! Regular expressions that say the same of ASCII texts without Unicode's classes, which take long to compile.

use regex_syntax::ast::{Ast, ClassSetItem, Visitor, parse::Parser, visit};

/// Whether a pattern names no character beyond ASCII, be it by a class: its other case may be within (`ſ`, `K`).
pub fn is_ascii(pattern: &str) -> bool {
    Parser::new().parse(pattern).is_ok_and(|ast| visit(&ast, Within(true)) == Ok(true))
}

struct Within(bool);

impl Visitor for Within {
    type Output = bool;
    type Err = ();

    fn finish(self) -> Result<bool, ()> {
        Ok(self.0)
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), ()> {
        self.0 &= match ast {
            Ast::Literal(literal) => literal.c.is_ascii(),
            Ast::ClassUnicode(_) => false,
            _ => true,
        };
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), ()> {
        self.0 &= match item {
            ClassSetItem::Literal(literal) => literal.c.is_ascii(),
            ClassSetItem::Range(range) => range.start.c.is_ascii() && range.end.c.is_ascii(),
            ClassSetItem::Ascii(class) => !class.negated,
            ClassSetItem::Unicode(_) => false,
            _ => true,
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]
        #[test]
        fn expressions_say_the_same_of_ascii_texts(
            pattern in r"(\(\?[imsU]\))?([aKſéks]|\[a-zé]|\[\^aks]|\[\[:\^alpha:\]1\]|\[\^\[:alpha:\]\]|\[\\w--s\]|\\[wWdDsSbB]|\\pL|\\x\{17f\}|[akK]\+|\.|\^|\$|\(\?u:k\)){1,6}",
            text in "[akKsS1_ \\n-]{0,12}",
        ) {
            let Ok(unicode) = regex::Regex::new(&pattern) else { return Ok(()) };
            let ascii = regex::bytes::RegexBuilder::new(&pattern).unicode(false).build();
            if is_ascii(&pattern) && let Ok(ascii) = ascii {
                prop_assert_eq!(ascii.is_match(text.as_bytes()), unicode.is_match(&text), "{}", pattern);
            }
        }
    }
}
