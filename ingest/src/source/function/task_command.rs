//! What a scheduled task runs, out of the XML that Windows logs as the task's content.

use super::Made;

fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let start = xml.find(&format!("<{name}>"))? + name.len() + 2;
    let end = xml[start..].find(&format!("</{name}>"))?;
    Some(xml[start..start + end].trim())
}

/// The text of XML character data.
pub(super) fn unescape(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'").replace("&amp;", "&")
}

/// `Command` and `Arguments` of the first action, as a command line.
pub fn task_command(texts: &[&str]) -> Made {
    let Some(xml) = texts.first() else { return Made::Nothing };
    let Some(command) = element(xml, "Command") else { return Made::Nothing };
    let line = match element(xml, "Arguments") {
        Some(arguments) => format!("{command} {arguments}"),
        None => command.to_owned(),
    };
    Made::Text(unescape(&line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_action_is_the_command() {
        let xml = "<Task><Actions><Exec>\n <Command>cmd.exe</Command>\n <Arguments>/c &quot;dir&quot;</Arguments></Exec></Actions></Task>";
        assert_eq!(task_command(&[xml]), Made::Text("cmd.exe /c \"dir\"".into()));
        assert_eq!(task_command(&["<Task/>"]), Made::Nothing);
    }
}
