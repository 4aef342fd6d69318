//! Amazon S3 server access logs: a line a request.
//!
//! A record has AWS's fields by their names in lower case and in one word (`bucketowner`, `remoteip`, `httpstatus`, …),
//! numbers as numbers; `-`, which stands for no value, is left out; fields that AWS may add at the end are
//! `additional`, as one text. The client writes the referrer and the user agent, which may hold spaces and quotes: the
//! user agent ends at the line's last quote, as no field behind it has any. The request's URI has no spaces, so that
//! the first quote before a space ends it. **Fails**: a line that begins as such a log's and does not go on so. Source:
//! AWS, "Amazon S3 server access log format".

use super::object::Object;
use crate::dead_letter::Reason;

/// Fields before the request's line.
const REQUEST: [&str; 5] = ["remoteip", "requester", "requestid", "operation", "key"];
/// Fields behind it, which S3 writes.
const RESPONSE: [&str; 6] = ["httpstatus", "errorcode", "bytessent", "objectsize", "totaltime", "turnaroundtime"];
/// Fields behind the user agent; logs of former years end earlier.
const SERVER: [&str; 10] = [
    "versionid",
    "hostid",
    "signatureversion",
    "ciphersuite",
    "authenticationtype",
    "hostheader",
    "tlsversion",
    "accesspointarn",
    "aclrequired",
    "sourceregion",
];

/// The record of a line; none where it does not begin as one.
pub fn parse(line: &str) -> Option<Result<String, Reason>> {
    let (owner, rest) = line.split_once(' ')?;
    // A canonical user id has 64 digits.
    let id = owner.len() >= 32 && owner.bytes().all(|b| b.is_ascii_hexdigit());
    let (bucket, rest) = rest.split_once(" [").filter(|(bucket, _)| id && !bucket.contains(' '))?;
    let (time, rest) = rest.split_once("] ")?;
    let mut object = Object::new();
    for (name, value) in [("bucketowner", owner), ("bucket", bucket), ("time", time)] {
        member(&mut object, name, value);
    }
    Some(match fields(&mut object, rest) {
        Ok(()) => Ok(object.finish()),
        Err(expected) => Err(Reason::Decoder(format!("an S3 access log line without {expected}"))),
    })
}

fn fields(object: &mut Object, mut rest: &str) -> Result<(), &'static str> {
    for name in REQUEST {
        member(object, name, word(&mut rest).ok_or(name)?);
    }
    let uri = match rest.strip_prefix('"') {
        Some(quoted) => {
            let (uri, after) = quoted.split_once("\" ").ok_or("requesturi")?;
            rest = after;
            uri
        }
        None => word(&mut rest).filter(|word| *word == "-").ok_or("requesturi")?,
    };
    member(object, "requesturi", uri);
    for name in RESPONSE {
        let value = word(&mut rest).ok_or(name)?;
        let number = name == "errorcode" || value == "-" || value.bytes().all(|b| b.is_ascii_digit());
        member(object, name, Some(value).filter(|_| number).ok_or(name)?);
    }
    let (referrer, agent, server) = client(rest)?;
    member(object, "referrer", referrer);
    member(object, "useragent", agent);
    let words: Vec<&str> = server.split_ascii_whitespace().collect();
    if words.is_empty() {
        return Err("versionid");
    }
    for (name, value) in SERVER.iter().zip(&words) {
        member(object, name, value);
    }
    if words.len() > SERVER.len() {
        object.text("additional", &words[SERVER.len()..].join(" "));
    }
    Ok(())
}

/// What the client wrote, referrer and user agent, and what is behind it.
fn client(rest: &str) -> Result<(&str, &str, &str), &'static str> {
    let Some(end) = rest.rfind('"') else {
        let after = rest.strip_prefix("- - ").ok_or("referrer")?;
        return Ok(("-", "-", after));
    };
    let (said, after) = (&rest[..end], &rest[end + 1..]);
    if let Some(agent) = said.strip_prefix("- \"") {
        return Ok(("-", agent, after));
    }
    let said = said.strip_prefix('"').ok_or("referrer")?;
    match said.split_once("\" \"") {
        Some((referrer, agent)) => Ok((referrer, agent, after)),
        None => Ok((said, "-", after.strip_prefix(" - ").ok_or("useragent")?)),
    }
}

fn word<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let (word, after) = rest.split_once(' ')?;
    *rest = after;
    (!word.is_empty()).then_some(word)
}

fn member(object: &mut Object, name: &str, value: &str) {
    match name {
        _ if value == "-" => {}
        "httpstatus" | "bytessent" | "objectsize" | "totaltime" | "turnaroundtime" => object.number(name, value),
        _ => object.text(name, value),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::Value;

    const OWNER: &str = "3b1c0d9e8f7a6b5c4d3e2f1a0b9c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c";

    fn read(rest: &str) -> Value {
        let json = parse(&format!("{OWNER} example-reports [17/Mar/2026:10:30:00 +0000] {rest}")).unwrap().unwrap();
        serde_json::from_str(&json).unwrap()
    }

    fn refused(line: &str) -> String {
        parse(line).unwrap().unwrap_err().to_string()
    }

    #[test]
    fn fields_have_their_names() {
        let made = read(concat!(
            "203.0.113.7 arn:aws:iam::111122223333:user/marta 3E57427F33A59F07 REST.GET.OBJECT 2026/q1.csv ",
            "\"GET /2026/q1.csv?x=1 HTTP/1.1\" 200 - 2662 2662 41 40 \"-\" \"aws-cli/2.15 md/a#b\" - Hb1/x= SigV4 ",
            "TLS_AES_128_GCM_SHA256 AuthHeader example-reports.s3.eu-west-1.amazonaws.com TLSv1.3 - Yes eu-west-1 new er"
        ));
        assert_eq!(made["requesturi"], "GET /2026/q1.csv?x=1 HTTP/1.1");
        assert_eq!(
            (&made["httpstatus"], &made["bytessent"], &made["key"]),
            (&200.into(), &2662.into(), &"2026/q1.csv".into())
        );
        assert_eq!((&made["useragent"], &made["hostid"]), (&"aws-cli/2.15 md/a#b".into(), &"Hb1/x=".into()));
        assert_eq!((&made["aclrequired"], &made["sourceregion"]), (&"Yes".into(), &"eu-west-1".into()));
        assert_eq!((&made["time"], &made["additional"]), (&"17/Mar/2026:10:30:00 +0000".into(), &"new er".into()));
        assert!(["errorcode", "referrer", "versionid", "accesspointarn"].iter().all(|name| made.get(name).is_none()));
    }

    #[test]
    fn what_s3_does_itself_has_no_request() {
        let made = read("- svc:s3.amazonaws.com A1B2 S3.EXPIRE.OBJECT old.log - - - - 12 - - - - vid1 hid1");
        assert_eq!((&made["requester"], &made["objectsize"]), (&"svc:s3.amazonaws.com".into(), &12.into()));
        assert_eq!((&made["versionid"], made.get("requesturi")), (&"vid1".into(), None));
    }

    #[test]
    fn a_client_cannot_write_what_s3_says() {
        let start = "198.51.100.4 - AA11 REST.GET.OBJECT a \"GET /a HTTP/1.1\" 403 AccessDenied 243 - 9 -";
        let end = "- h1= - - - example.s3.amazonaws.com TLSv1.2 - -";
        let agent = "x\" - forged SigV4 - AuthHeader \"";
        let made = read(&format!("{start} \"-\" \"{agent}\" {end}"));
        assert_eq!((&made["useragent"], &made["hostid"]), (&agent.into(), &"h1=".into()));
        assert_eq!((made.get("authenticationtype"), &made["httpstatus"]), (None, &403.into()));
        let made = read(&format!("{start} \"http://a/\" 200 - 1 1 1 1\" \"curl\" {end}"));
        assert_eq!((&made["referrer"], &made["useragent"]), (&"http://a/\" 200 - 1 1 1 1".into(), &"curl".into()));
        for (said, referrer, agent) in
            [("- \"curl\"", None, Some("curl")), ("\"http://a/\" -", Some("http://a/"), None), ("- -", None, None)]
        {
            let made = read(&format!("{start} {said} {end}"));
            assert_eq!((made["referrer"].as_str(), made["useragent"].as_str()), (referrer, agent), "{said}");
            assert_eq!(made["hostid"], "h1=");
        }
    }

    #[test]
    fn broken_lines_say_what_they_lack() {
        let start = format!("{OWNER} b [17/Mar/2026:10:30:00 +0000] ");
        for (rest, lacks) in [
            ("", "remoteip"),
            ("203.0.113.7 - A1 REST.GET.OBJECT k", "key"),
            ("203.0.113.7 - A1 REST.GET.OBJECT k \"GET / HTTP/1.1", "requesturi"),
            ("203.0.113.7 - A1 REST.GET.OBJECT k GET", "requesturi"),
            ("203.0.113.7 - A1 REST.GET.OBJECT k \"GET /\" OK - 1 1 1 1 \"-\" \"-\" -", "httpstatus"),
            ("203.0.113.7 - A1 REST.GET.OBJECT k \"GET /\" 200 - 1 1 1 1 x", "referrer"),
            ("203.0.113.7 - A1 REST.GET.OBJECT k \"GET /\" 200 - 1 1 1 1 \"-\" \"-\"", "versionid"),
        ] {
            assert_eq!(refused(&format!("{start}{rest}")), format!("an S3 access log line without {lacks}"), "{rest}");
        }
        for other in [
            "",
            "203.0.113.7 - - [17/Mar/2026:10:30:00 +0000] \"GET / HTTP/1.1\" 200 1",
            OWNER,
            &format!("{OWNER} a b [17/Mar/2026:10:30:00 +0000] x"),
            &format!("{OWNER} b [17/Mar/2026:10:30:00 +0000]"),
        ] {
            assert!(parse(other).is_none(), "{other}");
        }
    }
}
