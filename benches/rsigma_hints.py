#!/usr/bin/env python3
"""Adds the fields that `rsigma engine eval --logsource-routing` routes by to Windows events.

Reads JSON documents (one a line or pretty-printed, plain or .gz; events of EVTX dumps are made flat), writes NDJSON:
every event gains `product`, and `service` and `category` where the Sigma taxonomy has one for its channel and id. The tables are the taxonomy's (Sigma log sources appendix), written
here on their own so that they check Tarn's mapping instead of repeating it.

    benches/rsigma_hints.py events.ndjson.gz > hinted.ndjson
"""
import gzip
import json
import sys

SYSMON = {
    1: "process_creation", 2: "file_change", 3: "network_connection", 4: "sysmon_status", 5: "process_termination",
    6: "driver_load", 7: "image_load", 8: "create_remote_thread", 9: "raw_access_thread", 10: "process_access",
    11: "file_event", 12: "registry_event", 13: "registry_set", 14: "registry_rename", 15: "create_stream_hash",
    16: "sysmon_status", 17: "pipe_created", 18: "pipe_created", 19: "wmi_event", 20: "wmi_event", 21: "wmi_event",
    22: "dns_query", 23: "file_delete", 24: "clipboard_capture", 25: "process_tampering", 26: "file_delete",
    27: "file_block_executable", 28: "file_block_shredding", 29: "file_executable_detected", 255: "sysmon_error",
}
POWERSHELL = {4103: "ps_module", 4104: "ps_script"}
CLASSIC = {400: "ps_classic_start", 600: "ps_classic_provider_start", 800: "ps_classic_script"}
SERVICES = {
    "microsoft-windows-sysmon/operational": "sysmon", "security": "security", "system": "system",
    "application": "application", "microsoft-windows-powershell/operational": "powershell",
    "powershellcore/operational": "powershell", "windows powershell": "powershell-classic",
    "microsoft-windows-wmi-activity/operational": "wmi", "microsoft-windows-taskscheduler/operational": "taskscheduler",
    "microsoft-windows-windows defender/operational": "windefend",
    "microsoft-windows-bits-client/operational": "bits-client",
    "microsoft-windows-windows firewall with advanced security/firewall": "firewall-as",
    "microsoft-windows-terminalservices-localsessionmanager/operational": "terminalservices-localsessionmanager",
    "microsoft-windows-ntlm/operational": "ntlm", "dns server": "dns-server",
    "microsoft-windows-dns-client/operational": "dns-client", "microsoft-windows-codeintegrity/operational": "codeintegrity-operational",
    "microsoft-windows-smbclient/security": "smbclient-security", "microsoft-windows-printservice/admin": "printservice-admin",
    "microsoft-windows-printservice/operational": "printservice-operational",
    "microsoft-windows-ldap-client/debug": "ldap", "microsoft-windows-shell-core/operational": "shell-core",
    "microsoft-windows-appxdeploymentserver/operational": "appxdeployment-server",
    "microsoft-windows-security-mitigations/kernel mode": "security-mitigations",
}


def flat(event):
    """An EVTX dump's `Event` as rsigma wants it: Sigma's names at the top."""
    if not isinstance(event.get("Event"), dict):
        return event
    system, out = event["Event"].get("System", {}), {}
    for part in ("EventData", "UserData"):
        data = event["Event"].get(part) or {}
        # UserData holds one element, and the fields in it.
        if part == "UserData" and isinstance(data, dict):
            data = next((v for k, v in data.items() if isinstance(v, dict) and not k.startswith("#")), {})
        if isinstance(data, dict):
            out.update({k: v for k, v in data.items() if not k.startswith("#")})
    for name in ("Channel", "Computer", "Level", "Task", "Opcode", "Keywords", "EventRecordID", "Version"):
        if name in system:
            out.setdefault(name, system[name])
    identifier = system.get("EventID")
    out["EventID"] = identifier.get("#text") if isinstance(identifier, dict) else identifier
    provider = system.get("Provider", {}).get("#attributes", {})
    out["Provider_Name"] = provider.get("Name")
    return out


def documents(text):
    """The JSON documents of a text, however they are set apart."""
    decoder, at = json.JSONDecoder(), 0
    while True:
        while at < len(text) and text[at].isspace():
            at += 1
        if at >= len(text):
            return
        document, at = decoder.raw_decode(text, at)
        yield document


def hints(event):
    event = flat(event)
    channel = str(event.get("Channel", "")).lower()
    service = SERVICES.get(channel)
    identifier = event.get("EventID")
    try:
        identifier = int(identifier)
    except (TypeError, ValueError):
        identifier = None
    table = {"sysmon": SYSMON, "powershell": POWERSHELL, "powershell-classic": CLASSIC}.get(service, {})
    category = table.get(identifier)
    # Sysmon 12 is three categories by its EventType.
    if service == "sysmon" and identifier == 12:
        category = "registry_delete" if str(event.get("EventType", "")).lower().startswith("delete") else "registry_add"
    if service == "security" and identifier == 4688:
        category = "process_creation"
    event["product"] = "windows"
    event.pop("service", None)
    event.pop("category", None)
    if service:
        event["service"] = service
    if category:
        event["category"] = category
    return event


def main():
    path = sys.argv[1]
    opened = gzip.open if path.endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8") as lines:
        for document in documents(lines.read()):
            for event in document if isinstance(document, list) else [document]:
                print(json.dumps(hints(event), ensure_ascii=False, separators=(",", ":")))


if __name__ == "__main__":
    main()
