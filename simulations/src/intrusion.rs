//! The intrusion: from a document on a workstation to the cloud account and the cluster, in one afternoon.
//!
//! Each step names the ATT&CK technique that it models. Nothing marks the intruder's events but what the intruder
//! does: the accounts, hosts and agents are the company's own.

use crate::background::cloudtrail::{self, Call, Caller};
use crate::background::kubernetes::{self, Request};
use crate::background::windows::{self, Channel, Started, guid, process_creation};
use crate::company::{ACCOUNT, DOMAIN};
use crate::day::{Event, Source};
use chrono::{DateTime, Duration, Utc};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

const VICTIM: &str = "e.novak";
const HOST: &str = "WS-105";
const INTRUDER: &str = "203.0.113.77";

/// The intrusion's events in time order, on the day that starts at `midnight`.
pub fn events(midnight: DateTime<Utc>, rng: &mut ChaCha8Rng) -> Vec<Event> {
    let mut story = Story { clock: midnight + Duration::minutes(13 * 60 + 7), rng, events: Vec::new() };
    story.workstation();
    story.cloud();
    story.cluster();
    story.cover();
    story.events
}

struct Story<'a> {
    clock: DateTime<Utc>,
    rng: &'a mut ChaCha8Rng,
    events: Vec<Event>,
}

impl Story<'_> {
    fn later(&mut self, seconds: i64) -> DateTime<Utc> {
        self.clock += Duration::milliseconds(seconds * 1_000 + self.rng.random_range(0..900));
        self.clock
    }

    fn add(&mut self, source: Source, step: &'static str, value: &Value) {
        self.events.push(Event { source, time: self.clock, json: value.to_string(), step: Some(step) });
    }

    fn windows(&mut self, step: &'static str, after: i64, channel: Channel, id: u32, data: Value) {
        let time = self.later(after);
        let record = windows::record(time, HOST, channel, id, data, self.rng);
        self.add(Source::Windows, step, &record);
    }

    fn process(
        &mut self,
        step: &'static str,
        after: i64,
        image: &str,
        command: &str,
        parent: (&str, &str),
        integrity: &str,
    ) {
        let user = format!("{DOMAIN}\\{VICTIM}");
        let started = Started { image, command, parent: parent.0, parent_command: parent.1, user: &user, integrity };
        let data = process_creation(&started, self.rng);
        self.windows(step, after, Channel::Sysmon, 1, data);
    }

    fn workstation(&mut self) {
        const WORD: &str = "C:\\Program Files\\Microsoft Office\\root\\Office16\\WINWORD.EXE";
        const SHELL: &str = "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe";
        // "Write-Host tarn demo stage two", base64 of UTF-16LE.
        const ENCODED: &str = "powershell.exe -nop -w hidden -enc VwByAGkAdABlAC0ASABvAHMAdAAgAHQAYQByAG4AIABkAGUAbQBvACAAcwB0AGEAZwBlACAAdAB3AG8A";
        let user = format!("{DOMAIN}\\{VICTIM}");
        self.process(
            "T1204.002 user opens a document, T1059.001 it starts an encoded PowerShell",
            0,
            SHELL,
            ENCODED,
            (WORD, "\"WINWORD.EXE\" /n \"C:\\Users\\e.novak\\Downloads\\offer.docm\""),
            "Medium",
        );
        let data = json!({"ProcessGuid": guid(self.rng), "ProcessId": 7_716, "Image": SHELL, "User": user, "Protocol": "tcp", "Initiated": "true",
            "SourceIsIpv6": "false", "SourceIp": "10.10.4.24", "SourceHostname": "WS-105.fjord.example", "SourcePort": 51_344, "SourcePortName": "-",
            "DestinationIsIpv6": "false", "DestinationIp": INTRUDER, "DestinationHostname": "-", "DestinationPort": 8_443, "DestinationPortName": "-"});
        self.windows("T1071.001 beacon", 4, Channel::Sysmon, 3, data);
        for (command, image) in [
            ("whoami.exe /all", "whoami.exe"),
            ("net.exe group \"Domain Admins\" /domain", "net.exe"),
            ("nltest.exe /domain_trusts", "nltest.exe"),
        ] {
            self.process(
                "T1033, T1069.002, T1482 discovery",
                35,
                &format!("C:\\Windows\\System32\\{image}"),
                command,
                (SHELL, ENCODED),
                "Medium",
            );
        }
        let data = json!({"EventType": "SetValue", "ProcessGuid": guid(self.rng), "ProcessId": 7_716, "Image": SHELL,
            "TargetObject": "HKU\\S-1-5-21-1004336348-1177238915-682003330-1104\\Software\\Microsoft\\Windows\\CurrentVersion\\Run\\OneDriveSync",
            "Details": "C:\\Users\\e.novak\\AppData\\Roaming\\sync\\onedrivesync.exe", "User": user});
        self.windows("T1547.001 run key", 80, Channel::Sysmon, 13, data);
        let data = json!({"SourceProcessGUID": guid(self.rng), "SourceProcessId": 8_120, "SourceThreadId": 8_124, "SourceImage": "C:\\Users\\e.novak\\AppData\\Roaming\\sync\\onedrivesync.exe",
            "TargetProcessGUID": guid(self.rng), "TargetProcessId": 712, "TargetImage": "C:\\Windows\\system32\\lsass.exe", "GrantedAccess": "0x1010",
            "CallTrace": "C:\\Windows\\SYSTEM32\\ntdll.dll+9d4c4|C:\\Windows\\System32\\KERNELBASE.dll+2bcbe|UNKNOWN(000001D2A8E70F00)", "SourceUser": user, "TargetUser": "NT AUTHORITY\\SYSTEM"});
        self.windows("T1003.001 reads the memory of lsass", 140, Channel::Sysmon, 10, data);
        let data = json!({"ServiceName": "syncsvc", "ImagePath": "%COMSPEC% /C start /b C:\\Users\\e.novak\\AppData\\Roaming\\sync\\onedrivesync.exe", "ServiceType": "user mode service", "StartType": "auto start", "AccountName": "LocalSystem"});
        self.windows("T1543.003 installs a service", 60, Channel::System, 7045, data);
        self.process(
            "T1490 deletes shadow copies",
            45,
            "C:\\Windows\\System32\\vssadmin.exe",
            "vssadmin.exe delete shadows /all /quiet",
            ("C:\\Windows\\System32\\cmd.exe", "cmd.exe /c start /b onedrivesync.exe"),
            "High",
        );
    }

    fn caller(name: &str) -> Caller {
        Caller { address: INTRUDER.into(), ..cloudtrail::person(name) }
    }

    fn call(&mut self, step: &'static str, after: i64, who: &str, call: Call<'_>) {
        let time = self.later(after);
        let record = cloudtrail::record(time, Self::caller(who), call, self.rng);
        self.add(Source::CloudTrail, step, &record);
    }

    fn cloud(&mut self) {
        fn write<'a>(service: &'a str, name: &'a str, request: Value, response: Value) -> Call<'a> {
            Call { service, name, request, response, error: None, read_only: false }
        }
        fn read<'a>(service: &'a str, name: &'a str, request: Value) -> Call<'a> {
            Call { service, name, request, response: Value::Null, error: None, read_only: true }
        }
        let time = self.later(300);
        let call = write("signin", "ConsoleLogin", Value::Null, json!({"ConsoleLogin": "Success"}));
        let mut login = cloudtrail::record(time, Self::caller("h.berg"), call, self.rng);
        login["eventType"] = json!("AwsConsoleSignIn");
        login["additionalEventData"] =
            json!({"LoginTo": "https://console.aws.amazon.com/console/home", "MobileVersion": "No", "MFAUsed": "No"});
        self.add(Source::CloudTrail, "T1078.004 console login without MFA, with a stolen password", &login);
        for name in ["ListUsers", "ListRoles", "ListAccessKeys", "GetAccountAuthorizationDetails"] {
            self.call("T1087.004 lists the account", 6, "h.berg", read("iam", name, Value::Null));
        }
        self.call("T1098.001 a key for somebody else", 40, "h.berg", write("iam", "CreateAccessKey", json!({"userName": "backup-admin"}),
            json!({"accessKey": {"userName": "backup-admin", "accessKeyId": "AKIAEXAMPLEBACKUP", "status": "Active", "createDate": "Mar 17, 2026 1:19:00 PM"}})));
        self.call(
            "T1098.003 administrator by policy",
            15,
            "h.berg",
            write(
                "iam",
                "AttachUserPolicy",
                json!({"userName": "backup-admin", "policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}),
                Value::Null,
            ),
        );
        for n in 0..8 {
            let secret = format!(
                "prod/{}/database",
                ["invoice-api", "cart", "checkout", "catalog", "billing", "etl", "crm", "payroll"][n]
            );
            self.call(
                "T1555.006 reads every secret",
                3,
                "backup-admin",
                read("secretsmanager", "GetSecretValue", json!({"secretId": secret})),
            );
        }
        self.call(
            "T1562.008 stops the trail",
            30,
            "backup-admin",
            write(
                "cloudtrail",
                "StopLogging",
                json!({"name": format!("arn:aws:cloudtrail:eu-north-1:{ACCOUNT}:trail/org-trail")}),
                Value::Null,
            ),
        );
        self.call("T1537 opens a bucket to everyone", 50, "backup-admin", write("s3", "PutBucketPolicy", json!({"bucketName": "fjord-backups", "Host": "fjord-backups.s3.amazonaws.com", "policy": "",
            "bucketPolicy": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::fjord-backups/*"}]}}), Value::Null));
    }

    fn request(&mut self, step: &'static str, after: i64, request: Request<'_>) {
        let time = self.later(after);
        let record = kubernetes::record(time, request, self.rng);
        self.add(Source::Kubernetes, step, &record);
    }

    fn cluster(&mut self) {
        let account: (&str, &[&str]) = (
            "system:serviceaccount:shop:cart",
            &["system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"],
        );
        let person: (&str, &[&str]) = ("h.berg", &["system:masters", "system:authenticated"]);
        let exec = json!({"resource": "pods", "subresource": "exec", "namespace": "shop", "name": "cart-0a1b2", "apiVersion": "v1"});
        self.request(
            "T1609 a shell in a pod",
            90,
            Request {
                user: person,
                address: INTRUDER.into(),
                verb: "create",
                uri: "/api/v1/namespaces/shop/pods/cart-0a1b2/exec?command=%2Fbin%2Fsh&stdin=true&tty=true".into(),
                object: exec,
                body: None,
                code: 101,
            },
        );
        self.request(
            "T1552.007 its account lists all secrets",
            30,
            Request {
                user: account,
                address: "10.30.0.17".into(),
                verb: "list",
                uri: "/api/v1/secrets?limit=500".into(),
                object: json!({"resource": "secrets", "apiVersion": "v1"}),
                body: None,
                code: 200,
            },
        );
        let pod = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "node-debug", "namespace": "kube-system"},
            "spec": {"hostPID": true, "hostNetwork": true, "containers": [{"name": "debug", "image": "docker.io/library/alpine:3.19", "command": ["nsenter", "-t", "1", "-m", "sh"], "securityContext": {"privileged": true},
            "volumeMounts": [{"name": "host", "mountPath": "/host"}]}], "volumes": [{"name": "host", "hostPath": {"path": "/"}}]}});
        self.request("T1611 a privileged pod with the node's disk", 60, Request { user: person, address: INTRUDER.into(), verb: "create",
            uri: "/api/v1/namespaces/kube-system/pods".into(), object: json!({"resource": "pods", "namespace": "kube-system", "name": "node-debug", "apiVersion": "v1"}), body: Some(pod), code: 201 });
        let binding = json!({"kind": "ClusterRoleBinding", "apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "metrics-reader-2"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}, "subjects": [{"kind": "ServiceAccount", "name": "cart", "namespace": "shop"}]});
        self.request("T1098.006 cluster-admin for the account", 25, Request { user: person, address: INTRUDER.into(), verb: "create",
            uri: "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings".into(), object: json!({"resource": "clusterrolebindings", "name": "metrics-reader-2", "apiGroup": "rbac.authorization.k8s.io", "apiVersion": "v1"}), body: Some(binding), code: 201 });
    }

    fn cover(&mut self) {
        let data = json!({"SubjectUserSid": "S-1-5-21-1004336348-1177238915-682003330-1104", "SubjectUserName": VICTIM, "SubjectDomainName": DOMAIN, "SubjectLogonId": "0x5a1f2"});
        self.windows("T1070.001 clears the security log", 200, Channel::Security, 1102, data);
    }
}
