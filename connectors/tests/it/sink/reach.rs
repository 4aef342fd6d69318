//! Targets that alerts must not reach.

use super::receiver::Receiver;
use super::{config, environment, finding, open};
use std::time::Duration;
use tarn_connectors::sink::outbox::check;
use tokio_util::sync::CancellationToken;

fn hook(url: &str, allow: &str) -> String {
    format!(
        r#"
        sinks.hook = {{ kind = "webhook", url = "{url}", plain_http = true, allow_networks = [{allow}] }}
        routes = [{{ name = "all", sinks = ["hook"] }}]
        "#
    )
}

#[test]
fn literal_addresses_are_refused_with_the_configuration() {
    for address in ["127.0.0.1", "169.254.169.254", "[::1]", "[fd00:ec2::254]", "10.0.0.1", "0x7f000001"] {
        let error = check(&config(&hook(&format!("http://{address}/"), "")), &environment).unwrap_err();
        assert!(error.to_string().starts_with("alerts.sinks.hook.url: "), "{error}");
    }
}

/// `localhost` stands for every name that resolves to an address which is not public.
#[tokio::test(flavor = "multi_thread")]
async fn names_are_refused_where_they_resolve() {
    let receiver = Receiver::start([]).await;
    for (allow, reached) in [("", false), ("\"127.0.0.0/8\", \"::1/128\"", true)] {
        let folder = tempfile::tempdir().unwrap();
        let outbox = open(folder.path(), &hook(&format!("http://localhost:{}/", receiver.address.port()), allow));
        let stop = CancellationToken::new();
        let task = tokio::spawn(outbox.clone().deliver(stop.clone()));
        outbox.offer(1, &[finding("f1")]).unwrap();
        for _ in 0..1_000 {
            let sink = outbox.status().unwrap().sinks["hook"].clone();
            if sink.delivered + sink.dead > 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stop.cancel();
        task.await.unwrap();
        let dead = outbox.dead(0, 1).unwrap();
        assert_eq!(dead.is_empty(), reached, "{dead:?}");
        if let [letter] = dead.as_slice() {
            assert!(letter.reason.contains("is loopback"), "{}", letter.reason);
            assert_eq!(letter.tries, 1);
        }
        assert_eq!(receiver.requests().len(), usize::from(reached));
    }
}
