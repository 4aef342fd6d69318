//! Ordinary Windows events, in the flat JSON that NXLog ships: Sysmon and the Security log.

use crate::company::{DOMAIN, PEOPLE, WORKSTATIONS, pick};
use chrono::{DateTime, Utc};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

/// The log that an event is in.
#[derive(Clone, Copy)]
pub enum Channel {
    /// Microsoft-Windows-Sysmon/Operational.
    Sysmon,
    /// Security.
    Security,
    /// System.
    System,
}

/// An event of `host` with its event data.
pub fn record(time: DateTime<Utc>, host: &str, channel: Channel, id: u32, data: Value, rng: &mut ChaCha8Rng) -> Value {
    let (name, provider, guid) = match channel {
        Channel::Sysmon => (
            "Microsoft-Windows-Sysmon/Operational",
            "Microsoft-Windows-Sysmon",
            "{5770385F-C22A-43E0-BF4C-06F5698FFBD9}",
        ),
        Channel::Security => {
            ("Security", "Microsoft-Windows-Security-Auditing", "{54849625-5478-4994-A5BA-3E3B0328C30D}")
        }
        Channel::System => ("System", "Service Control Manager", "{555908D1-A6D7-4695-8E1E-26931D2012F4}"),
    };
    // The log's own clearing is written by the event log service.
    let provider = if id == 1102 { "Microsoft-Windows-Eventlog" } else { provider };
    let utc = time.format("%Y-%m-%d %H:%M:%S%.3f").to_string();
    let mut event = Map::new();
    event.insert("EventTime".into(), json!(time.format("%Y-%m-%d %H:%M:%S").to_string()));
    event.insert("Hostname".into(), json!(format!("{host}.fjord.example")));
    event.insert("EventID".into(), json!(id));
    event.insert("SourceName".into(), json!(provider));
    event.insert("ProviderGuid".into(), json!(guid));
    event.insert("Channel".into(), json!(name));
    event.insert("RecordNumber".into(), json!(rng.random_range(100_000..9_000_000)));
    event.insert("ExecutionProcessID".into(), json!(3_208));
    event.insert("ThreadID".into(), json!(1_724));
    event.insert("SeverityValue".into(), json!(2));
    event.insert("@timestamp".into(), json!(time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)));
    if matches!(channel, Channel::Sysmon) {
        event.insert("RuleName".into(), json!("-"));
        event.insert("UtcTime".into(), json!(utc));
    }
    if let Value::Object(data) = data {
        event.extend(data);
    }
    Value::Object(event)
}

/// What Sysmon says of a started process.
pub struct Started<'a> {
    /// `Image`.
    pub image: &'a str,
    /// `CommandLine`.
    pub command: &'a str,
    /// `ParentImage`.
    pub parent: &'a str,
    /// `ParentCommandLine`.
    pub parent_command: &'a str,
    /// `User`, with its domain.
    pub user: &'a str,
    /// `IntegrityLevel`.
    pub integrity: &'a str,
}

/// The event data of Sysmon 1.
pub fn process_creation(started: &Started<'_>, rng: &mut ChaCha8Rng) -> Value {
    let file = started.image.rsplit('\\').next().unwrap_or(started.image);
    json!({
        "ProcessGuid": guid(rng), "ProcessId": rng.random_range(1_000..20_000), "Image": started.image,
        "FileVersion": "10.0.22621.1", "Description": file.trim_end_matches(".exe"), "Product": "Microsoft® Windows® Operating System",
        "Company": "Microsoft Corporation", "OriginalFileName": file, "CommandLine": started.command,
        "CurrentDirectory": "C:\\Windows\\system32\\", "User": started.user, "LogonGuid": guid(rng),
        "LogonId": format!("0x{:x}", rng.random_range(0x10000..0xfffff)), "TerminalSessionId": 1,
        "IntegrityLevel": started.integrity, "Hashes": format!("SHA256={:064X}", (file.len() as u128) << 90),
        "ParentProcessGuid": guid(rng), "ParentProcessId": rng.random_range(500..9_000), "ParentImage": started.parent,
        "ParentCommandLine": started.parent_command, "ParentUser": started.user
    })
}

/// A process GUID as Sysmon writes it.
pub fn guid(rng: &mut ChaCha8Rng) -> String {
    format!(
        "{{7A5D1C00-{:04X}-69B8-{:04X}-000000000700}}",
        rng.random_range(0..0xffffu32),
        rng.random_range(0..0xffffu32)
    )
}

const PROGRAMS: &[(&str, &str, &str)] = &[
    (
        "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe",
        "\"C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe\" --type=renderer --lang=en-GB",
        "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe",
    ),
    (
        "C:\\Windows\\System32\\svchost.exe",
        "C:\\Windows\\system32\\svchost.exe -k netsvcs -p -s Schedule",
        "C:\\Windows\\System32\\services.exe",
    ),
    (
        "C:\\Windows\\System32\\backgroundTaskHost.exe",
        "\"C:\\Windows\\system32\\backgroundTaskHost.exe\" -ServerName:App.AppX",
        "C:\\Windows\\System32\\svchost.exe",
    ),
    (
        "C:\\Windows\\System32\\conhost.exe",
        "\\??\\C:\\Windows\\system32\\conhost.exe 0xffffffff -ForceV1",
        "C:\\Windows\\System32\\cmd.exe",
    ),
    (
        "C:\\Program Files\\Microsoft Office\\root\\Office16\\OUTLOOK.EXE",
        "\"C:\\Program Files\\Microsoft Office\\root\\Office16\\OUTLOOK.EXE\"",
        "C:\\Windows\\explorer.exe",
    ),
    (
        "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe",
        "powershell.exe -NoProfile -File C:\\ProgramData\\inventory\\collect.ps1",
        "C:\\Program Files\\Inventory\\agent.exe",
    ),
];

/// One ordinary event.
pub fn event(time: DateTime<Utc>, rng: &mut ChaCha8Rng) -> Value {
    let n = rng.random_range(0..WORKSTATIONS.len());
    let (host, person) = (WORKSTATIONS[n], PEOPLE[n]);
    let user = format!("{DOMAIN}\\{person}");
    let (image, command, parent) = PROGRAMS[rng.random_range(0..PROGRAMS.len())];
    match rng.random_range(0..100) {
        0..22 => {
            let started = Started { image, command, parent, parent_command: parent, user: &user, integrity: "Medium" };
            let data = process_creation(&started, rng);
            record(time, host, Channel::Sysmon, 1, data, rng)
        }
        22..40 => {
            let domain = pick(
                rng,
                &["intranet.fjord.example", "updates.vendor.example", "mail.fjord.example", "cdn.assets.example"],
            );
            let data = json!({"ProcessGuid": guid(rng), "ProcessId": 4_312, "QueryName": domain, "QueryStatus": "0", "QueryResults": "::ffff:192.0.2.80;", "Image": image, "User": user});
            record(time, host, Channel::Sysmon, 22, data, rng)
        }
        40..55 => {
            let data = json!({"ProcessGuid": guid(rng), "ProcessId": 4_312, "Image": image, "User": user, "Protocol": "tcp", "Initiated": "true",
                "SourceIsIpv6": "false", "SourceIp": format!("10.10.4.{}", 20 + n), "SourceHostname": format!("{host}.fjord.example"), "SourcePort": rng.random_range(49_152..65_000), "SourcePortName": "-",
                "DestinationIsIpv6": "false", "DestinationIp": "192.0.2.80", "DestinationHostname": "-", "DestinationPort": 443, "DestinationPortName": "https"});
            record(time, host, Channel::Sysmon, 3, data, rng)
        }
        55..72 => {
            let data = json!({"EventType": "SetValue", "ProcessGuid": guid(rng), "ProcessId": 2_204, "Image": "C:\\Windows\\system32\\svchost.exe",
                "TargetObject": format!("HKLM\\System\\CurrentControlSet\\Services\\bam\\State\\UserSettings\\S-1-5-21-1004336348-1177238915-682003330-{}", 1_100 + n), "Details": "Binary Data", "User": "NT AUTHORITY\\SYSTEM"});
            record(time, host, Channel::Sysmon, 13, data, rng)
        }
        72..84 => {
            let data = json!({"ProcessGuid": guid(rng), "ProcessId": 4_312, "Image": image, "TargetFilename": format!("C:\\Users\\{person}\\AppData\\Local\\Temp\\cache-{:04x}.tmp", rng.random_range(0..0xffff)), "CreationUtcTime": time.format("%Y-%m-%d %H:%M:%S%.3f").to_string(), "User": user});
            record(time, host, Channel::Sysmon, 11, data, rng)
        }
        84..94 => logon(time, host, person, 3, rng),
        _ => {
            let data = json!({"ProcessGuid": guid(rng), "ProcessId": 4_312, "Image": image, "User": user});
            record(time, host, Channel::Sysmon, 5, data, rng)
        }
    }
}

/// A logon that succeeded (Security 4624).
pub fn logon(time: DateTime<Utc>, host: &str, person: &str, kind: u8, rng: &mut ChaCha8Rng) -> Value {
    let data = json!({"SubjectUserSid": "S-1-0-0", "SubjectUserName": "-", "SubjectDomainName": "-", "SubjectLogonId": "0x0",
        "TargetUserSid": "S-1-5-21-1004336348-1177238915-682003330-1104", "TargetUserName": person, "TargetDomainName": DOMAIN,
        "TargetLogonId": format!("0x{:x}", rng.random_range(0x10000..0xfffff)), "LogonType": kind.to_string(), "LogonProcessName": "Kerberos",
        "AuthenticationPackageName": "Kerberos", "WorkstationName": "-", "LogonGuid": guid(rng), "TransmittedServices": "-", "LmPackageName": "-",
        "KeyLength": "0", "ProcessId": "0x0", "ProcessName": "-", "IpAddress": "10.10.4.31", "IpPort": rng.random_range(49_152..65_000).to_string()});
    record(time, host, Channel::Security, 4624, data, rng)
}
