//! Where Elastic's modules put the vendor's fields, by kind of event: ECS's path and the vendor's name.

/// ECS's path and the vendor's name.
pub type Names = &'static [(&'static str, &'static str)];

pub const IMAGE: Names =
    &[("process.executable", "Image"), ("process.entity_id", "ProcessGuid"), ("process.pid", "ProcessId")];

pub const SOURCE: Names = &[
    ("process.executable", "SourceImage"),
    ("process.pid", "SourceProcessId"),
    ("process.thread.id", "SourceThreadId"),
];

pub const STARTED: Names = &[
    ("process.command_line", "CommandLine"),
    ("process.working_directory", "CurrentDirectory"),
    ("process.parent.executable", "ParentImage"),
    ("process.parent.command_line", "ParentCommandLine"),
    ("process.parent.entity_id", "ParentProcessGuid"),
    ("process.parent.pid", "ParentProcessId"),
    ("process.pe.original_file_name", "OriginalFileName"),
    ("process.pe.company", "Company"),
    ("process.pe.description", "Description"),
    ("process.pe.product", "Product"),
    ("process.pe.file_version", "FileVersion"),
];

pub const LOADED: Names = &[
    ("file.path", "ImageLoaded"),
    ("file.pe.original_file_name", "OriginalFileName"),
    ("file.pe.company", "Company"),
    ("file.pe.description", "Description"),
    ("file.pe.product", "Product"),
    ("file.pe.file_version", "FileVersion"),
];

pub const FILE: Names = &[
    ("file.path", "TargetFilename"),
    ("sysmon.file.archived", "Archived"),
    ("sysmon.file.is_executable", "IsExecutable"),
];

pub const CONNECTION: Names = &[
    ("network.transport", "Protocol"),
    ("source.ip", "SourceIp"),
    ("source.port", "SourcePort"),
    ("source.domain", "SourceHostname"),
    ("destination.ip", "DestinationIp"),
    ("destination.port", "DestinationPort"),
    ("destination.domain", "DestinationHostname"),
];

pub const SCRIPT: Names = &[
    ("powershell.file.script_block_text", "ScriptBlockText"),
    ("powershell.file.script_block_id", "ScriptBlockId"),
    ("powershell.sequence", "MessageNumber"),
    ("powershell.total", "MessageTotal"),
    ("file.path", "Path"),
];

pub const POWERSHELL: Names = &[
    ("process.command_line", "HostApplication"),
    ("process.entity_id", "HostId"),
    ("process.title", "HostName"),
    ("powershell.process.executable_version", "HostVersion"),
    ("powershell.engine.version", "EngineVersion"),
    ("powershell.engine.new_state", "NewEngineState"),
    ("powershell.engine.previous_state", "PreviousEngineState"),
    ("powershell.provider.new_state", "NewProviderState"),
    ("powershell.provider.name", "ProviderName"),
    ("powershell.pipeline_id", "PipelineId"),
    ("powershell.runspace_id", "RunspaceId"),
    ("powershell.command.name", "CommandName"),
    ("powershell.command.type", "CommandType"),
    ("powershell.command.path", "CommandPath"),
    ("powershell.command.value", "CommandLine"),
    ("file.path", "ScriptName"),
];

pub const NEW_PROCESS: Names = &[
    ("process.executable", "NewProcessName"),
    ("process.pid", "NewProcessId"),
    ("process.command_line", "CommandLine"),
    ("process.parent.executable", "ParentProcessName"),
    ("process.parent.pid", "ProcessId"),
];

pub const SECURITY: Names = &[
    ("process.executable", "ProcessName"),
    ("process.pid", "ProcessId"),
    ("source.ip", "IpAddress"),
    ("source.port", "IpPort"),
    ("source.domain", "WorkstationName"),
];

/// Elastic's words for some of Sysmon's `QueryStatus`, which are Windows' names of the codes.
pub const QUERY_STATUS: Names = &[
    ("SUCCESS", "0"),
    ("ERROR_TIMEOUT", "1460"),
    ("DNS_ERROR_RCODE_FORMAT_ERROR", "9001"),
    ("DNS_ERROR_RCODE_SERVER_FAILURE", "9002"),
    ("DNS_ERROR_RCODE_NAME_ERROR", "9003"),
    ("DNS_ERROR_RCODE_NOT_IMPLEMENTED", "9004"),
    ("DNS_ERROR_RCODE_REFUSED", "9005"),
    ("DNS_INFO_NO_RECORDS", "9501"),
    ("DNS_ERROR_RECORD_DOES_NOT_EXIST", "9701"),
];
