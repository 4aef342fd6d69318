//! Errors, told with what caused them.

use std::error::Error;

/// An error and its causes, one behind the other. A cause that what is before it tells already is left out: errors of some
/// libraries say their causes themselves.
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let (mut told, mut next) = (error.to_string(), error.source());
    while let Some(cause) = next {
        let text = cause.to_string();
        if !told.contains(&text) {
            told.push_str(": ");
            told.push_str(&text);
        }
        next = cause.source();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt;

    #[derive(Debug)]
    struct Layer(&'static str, Option<Box<Layer>>);

    impl fmt::Display for Layer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Layer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|cause| cause as _)
        }
    }

    #[test]
    fn what_was_told_is_not_told_again() {
        let damaged = || Some(Box::new(Layer("the page is damaged", None)));
        let says_it = Layer("column a: the page is damaged", damaged());
        assert_eq!(with_causes(&says_it), "column a: the page is damaged");
        let says_less = Layer("cannot read", Some(Box::new(Layer("column a", damaged()))));
        assert_eq!(with_causes(&says_less), "cannot read: column a: the page is damaged");
    }
}
