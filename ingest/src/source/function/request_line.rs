//! The parts of HTTP's request line, `GET /a?b=1 HTTP/1.1`. Source: RFC 9112, section 3.

use super::Made;

/// The methods that OCSF 1.8.0 has.
const METHODS: [&str; 9] = ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];

/// The method, of a line or alone, if OCSF has it.
pub fn method(texts: &[&str]) -> Made {
    let method = texts.first().and_then(|line| line.split(' ').next()).filter(|method| METHODS.contains(method));
    method.map_or(Made::Nothing, |method| Made::Text(method.to_owned()))
}

/// The target as it was sent.
pub fn target(texts: &[&str]) -> Made {
    part(texts, |line| line.target)
}

/// The version's number.
pub fn version(texts: &[&str]) -> Made {
    part(texts, |line| line.version)
}

struct Line<'a> {
    target: &'a str,
    version: &'a str,
}

fn part<'a>(texts: &[&'a str], of: fn(Line<'a>) -> &'a str) -> Made {
    let read = |text: &&'a str| {
        let (method, rest) = text.split_once(' ')?;
        let (target, version) = rest.rsplit_once(" HTTP/").unwrap_or((rest, ""));
        let valid = !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase());
        valid.then_some(Line { target, version })
    };
    let found = texts.first().and_then(read).map(of).filter(|part| !part.is_empty());
    found.map_or(Made::Nothing, |part| Made::Text(part.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_three_parts() {
        let parts = |line: &str| [method(&[line]), target(&[line]), version(&[line])];
        let is = |text: &str| Made::Text(text.to_owned());
        assert_eq!(parts("GET /a b?c HTTP/1.1"), [is("GET"), is("/a b?c"), is("1.1")]);
        assert_eq!(parts("PUT /a"), [is("PUT"), is("/a"), Made::Nothing]);
        assert_eq!((method(&["GET"]), target(&["GET"])), (is("GET"), Made::Nothing));
        assert_eq!((method(&["BREW /a"]), target(&["BREW /a"])), (Made::Nothing, is("/a")));
        for line in ["", "-", "/a HTTP/1.1"] {
            assert_eq!(parts(line), [Made::Nothing, Made::Nothing, Made::Nothing], "{line}");
        }
    }
}
