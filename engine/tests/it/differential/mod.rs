//! Generated rules on generated events: the matcher, the tables, the reference and rsigma say the same.
//!
//! Batches come from seeds 0, 1, …, half of them for a source without columns and half for one with columns of all
//! types. `TARN_DIFFERENTIAL=<n>` looks at n pairs of a rule and an event instead of CI's. Tarn's three have to agree
//! always. Where rsigma differs, the rule is taken apart to its items with one value each, and every part that differs
//! has to be one of [`exceptions::EXCEPTIONS`].

mod event;
mod exceptions;
mod explain;
mod generate;
mod members;
mod referees;
mod rule;
mod selections;
mod witness;

use event::{Event, Json};
use explain::Explainer;
use generate::Batch;
use referees::{Fired, Seen, World, rsigma_holds};
use rule::{Item, Rule, Val};

const RULES: usize = 40;
const EVENTS: usize = 60;
/// Of a batch's rules, one in so many is looked at in tables: plans take long to make in a debug build.
const SHARE: usize = 2;
const PAIRS: usize = 120_000;

#[test]
fn generated_rules_on_generated_events() {
    let named = std::env::var("TARN_DIFFERENTIAL").ok().map(|n| n.parse().expect("a number of pairs"));
    let batches = named.unwrap_or(PAIRS).div_ceil(RULES * EVENTS) as u64;
    let worlds = [
        World::new("loose", include_str!("sources/loose.toml")),
        World::new("typed", include_str!("sources/typed.toml")),
    ];
    let (mut fired, mut pairs, mut by_rsigma, mut differing, mut in_tables) = (0, 0, 0, 0, 0);
    let mut explainer = Explainer::default();
    for seed in 0..batches {
        let world = &worlds[seed as usize % worlds.len()];
        let batch = Batch::new(seed, RULES, EVENTS);
        let rules: Vec<_> =
            batch.rules.iter().enumerate().map(|(i, r)| world.load(&format!("r{i}"), r).unwrap()).collect();
        let (streamed, stored, matched) =
            world.fired(&rules, &batch.events, &|rule| rule % SHARE == seed as usize % SHARE);
        let seen: Vec<Seen> = batch.events.iter().map(Seen::new).collect();
        let constant: Vec<bool> = rules.iter().map(|r| explain::is_constant(&r.condition)).collect();
        for (r, (rule, generated)) in rules.iter().zip(&batch.rules).enumerate() {
            let rsigma = explainer.load(world, generated);
            let mut parts = None;
            for (e, event) in batch.events.iter().enumerate().filter(|_| !constant[r]) {
                let verdict = seen[e].holds(&rule.condition);
                let says = |who: &str| explain::message(who, seed, world, generated, event, verdict);
                if streamed.contains(&(r, e)) != verdict {
                    explainer.keep("matcher".into(), says("the matcher"));
                }
                // In tables `"O.k": 1` has become `"O": {"k": 1}`: in the stream it has no `O`.
                let flat = event.members.iter().any(|(key, _)| key.contains('.')) && generated.names("O");
                if !flat && matched.contains(&(r, e)) != verdict {
                    explainer.keep(format!("columns {seed} {r}"), says("the matcher over columns"));
                }
                if r % SHARE == seed as usize % SHARE && !flat {
                    in_tables += 1;
                    // Not exact yet: a keyword over tables also sees `1` where a column of numbers holds `1.0`.
                    let stored = stored.contains(&(r, e));
                    if stored != verdict && stored != seen[e].holds_converted(&rule.condition) {
                        explainer.keep(format!("tables {seed} {r}"), says("the tables"));
                    }
                }
                if let Some(rsigma) = &rsigma {
                    by_rsigma += 1;
                    if rsigma_holds(rsigma, event) != verdict {
                        differing += 1;
                        let parts = parts.get_or_insert_with(|| explain::parts(world, generated));
                        explainer.explain(parts, event, &seen[e], || says("rsigma"));
                    }
                }
                pairs += 1;
                fired += usize::from(verdict);
            }
        }
    }
    println!("{pairs} pairs, {fired} fire, {in_tables} in tables, {by_rsigma} by rsigma, which differs on {differing}");
    explainer.finish();
    assert!(fired * 100 > pairs * 3, "only {fired} of {pairs} pairs fire");
}

/// What generated rules found to be wrong over tables, one by one.
#[test]
fn what_was_found() {
    let world = World::new("typed", include_str!("sources/typed.toml"));
    let text = |t: &str| Json::Text(t.into());
    let event = |members: Vec<(&str, Json)>| {
        Event::new(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(), 0, "")
    };
    let call = |field: &'static str, value: Json| event(vec![("Kind", text("call")), (field, value)]);
    let list = Json::List(vec![text("1"), Json::Null]);
    for (field, modifiers, value, event, fires) in [
        // An event of the default kind is of a category that has no conditions.
        (Some("A"), &[][..], Val::Text("x".into()), event(vec![("A", text("x"))]), true),
        // A JSON column may hold a scalar, or a list with a null.
        (None, &["startswith"], Val::Text("01".into()), call("O", text("010.1.2.3")), true),
        (Some("O"), &[], Val::Null, call("O", list), true),
        (Some("O"), &["fieldref"], Val::Text("O".into()), call("O", text("x")), true),
        (Some("L"), &["fieldref"], Val::Text("L".into()), call("L", Json::List(vec![text("x")])), true),
        // What stands in a column for want of a field is no value.
        (None, &[], Val::Text("abc".into()), call("A", text("x")), false),
        (Some("A"), &["fieldref"], Val::Text("B".into()), call("A", text("abc")), false),
        // DataFusion makes `LIKE` of it, where a backslash escapes.
        (Some("A"), &["re"], Val::Text(r"\\Temp\\".into()), call("A", text(r":\Temp\x")), true),
        // A table may say of a text what it is already.
        (
            Some("R"),
            &[],
            Val::Number("2".into()),
            event(vec![("Kind", text("logon")), ("R", Json::Number("2".into()))]),
            true,
        ),
    ] {
        let rule = Rule::of(Item { field, modifiers: modifiers.to_vec(), values: vec![value] });
        let loaded = world.load("r0", &rule).unwrap();
        let expected: Fired = fires.then_some((0, 0)).into_iter().collect();
        let (streamed, stored, matched) = world.fired(&[loaded], std::slice::from_ref(&event), &|_| true);
        let says = |who| explain::message(who, 0, &world, &rule, &event, fires);
        assert_eq!(streamed, expected, "{}", says("the matcher"));
        assert_eq!(stored, expected, "{}", says("the tables"));
        assert_eq!(matched, expected, "{}", says("the matcher over columns"));
    }
}
