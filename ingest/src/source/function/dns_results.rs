//! `QueryResults` of Sysmon and the DNS client: `type:  5 name;::ffff:192.0.2.1;`.

use super::Made;

/// DNS parameters (IANA), those that resolvers commonly return.
fn type_name(number: &str) -> &str {
    match number {
        "1" => "A",
        "2" => "NS",
        "5" => "CNAME",
        "6" => "SOA",
        "12" => "PTR",
        "15" => "MX",
        "16" => "TXT",
        "28" => "AAAA",
        "33" => "SRV",
        "65" => "HTTPS",
        other => other,
    }
}

/// A list of answers. Addresses come without a type: IPv4 ones are mapped into IPv6.
pub fn dns_results(texts: &[&str]) -> Made {
    let answer = |item: &str| {
        let item = item.trim();
        let (kind, data) = match item.strip_prefix("type:").map(str::trim_start) {
            Some(rest) => {
                let (number, data) = rest.split_once(' ').unwrap_or((rest, ""));
                (type_name(number), data.trim())
            }
            None => match item.strip_prefix("::ffff:") {
                Some(v4) if v4.contains('.') => ("A", v4),
                _ if item.contains(':') => ("AAAA", item),
                _ => ("A", item),
            },
        };
        (!data.is_empty() && data != "-").then(|| vec![("rdata", data.to_owned()), ("type", kind.to_owned())])
    };
    let answers: Vec<_> = texts.iter().flat_map(|t| t.split(';')).filter_map(answer).collect();
    if answers.is_empty() { Made::Nothing } else { Made::Objects(answers) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_become_answers() {
        let answer = |data: &str, kind: &str| vec![("rdata", data.to_owned()), ("type", kind.to_owned())];
        let made = dns_results(&["type:  5 www.example.test;::ffff:192.0.2.7;2001:db8::1;"]);
        assert_eq!(
            made,
            Made::Objects(vec![
                answer("www.example.test", "CNAME"),
                answer("192.0.2.7", "A"),
                answer("2001:db8::1", "AAAA")
            ])
        );
        assert_eq!(dns_results(&["-"]), Made::Nothing);
    }
}
