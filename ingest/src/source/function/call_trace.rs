//! Sysmon's `CallTrace`: frames `module+offset`, joined by `|`, innermost first.

use super::Made;
use memchr::memrchr;

/// The modules on the stack, each once, in the order of their first frame. `UNKNOWN(…)` frames belong to none.
pub fn call_trace(texts: &[&str]) -> Made {
    let mut modules: Vec<String> = Vec::new();
    for frame in texts.iter().flat_map(|t| t.split('|')) {
        let module = memrchr(b'+', frame.as_bytes()).map_or(frame, |plus| &frame[..plus]).trim();
        if !module.is_empty() && !module.starts_with("UNKNOWN(") && modules.iter().all(|m| m != module) {
            modules.push(module.to_owned());
        }
    }
    if modules.is_empty() { Made::Nothing } else { Made::Texts(modules) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_give_their_modules_once() {
        let made = call_trace(&[r"C:\a\ntdll.dll+9d4|C:\a\kernel.dll+2|C:\a\ntdll.dll+1|UNKNOWN(00000001)"]);
        assert_eq!(made, Made::Texts(vec![r"C:\a\ntdll.dll".into(), r"C:\a\kernel.dll".into()]));
        assert_eq!(call_trace(&[]), Made::Nothing);
    }
}
