//! Ten questions of a security operations centre, in SQL that other engines take as well.

/// A question.
pub struct Question {
    /// What it is called.
    pub name: &'static str,
    /// Who asks it, and why.
    pub why: &'static str,
    /// In SQL.
    pub sql: &'static str,
}

/// All of them. The estate ends with 2026-03-17.
pub const QUESTIONS: [Question; 10] = [
    Question {
        name: "entity",
        why: "what one user ran in the last day",
        sql: r#"SELECT time, "device.hostname", "process.name", "process.cmd_line"
FROM process_activity
WHERE "actor.user.name" = 'user3217' AND time >= '2026-03-17T00:00:00Z'
ORDER BY time DESC LIMIT 100"#,
    },
    Question {
        name: "failed_logons",
        why: "whose passwords are being guessed this week",
        sql: r#"SELECT "user.name", count(*) AS failed, count(DISTINCT "src_endpoint.ip") AS addresses
FROM authentication
WHERE status_id = 2 AND time >= '2026-03-11T00:00:00Z'
GROUP BY 1 ORDER BY failed DESC, 1 LIMIT 20"#,
    },
    Question {
        name: "rare_programs",
        why: "what only one or two hosts ran in a month",
        sql: r#"SELECT "process.name", count(DISTINCT "device.hostname") AS hosts, min(time) AS first
FROM process_activity
GROUP BY 1 HAVING count(DISTINCT "device.hostname") <= 2
ORDER BY first DESC, 1 LIMIT 100"#,
    },
    Question {
        name: "command_lines",
        why: "encoded commands of a week",
        sql: r#"SELECT time, "device.hostname", "actor.user.name", "process.cmd_line"
FROM process_activity
WHERE "process.cmd_line" LIKE '%-EncodedCommand%' AND time >= '2026-03-11T00:00:00Z'
ORDER BY time DESC LIMIT 100"#,
    },
    Question {
        name: "exfiltration",
        why: "who sent most to whom in the last day",
        sql: r#"SELECT "src_endpoint.ip", "dst_endpoint.ip", sum("traffic.bytes_out") AS sent
FROM network_activity
WHERE time >= '2026-03-17T00:00:00Z'
GROUP BY 1, 2 ORDER BY sent DESC, 1, 2 LIMIT 20"#,
    },
    Question {
        name: "tunnels",
        why: "domains that are asked for ever new names",
        sql: r#"SELECT regexp_replace("query.hostname", '^[^.]+\.', '') AS domain, count(*) AS queries,
  count(DISTINCT "query.hostname") AS names
FROM dns_activity
WHERE "query.type" = 'TXT'
GROUP BY 1 ORDER BY names DESC, 1 LIMIT 20"#,
    },
    Question {
        name: "new_regions",
        why: "who worked in a region for the first time in a month",
        sql: r#"SELECT "actor.user.name", "cloud.region", min(time) AS first
FROM api_activity
GROUP BY 1, 2 HAVING min(time) >= '2026-03-17T00:00:00Z'
ORDER BY first, 1 LIMIT 100"#,
    },
    Question {
        name: "histogram",
        why: "logons by hour over a month",
        sql: r#"SELECT date_trunc('hour', time) AS hour, status_id, count(*) AS logons
FROM authentication GROUP BY 1, 2 ORDER BY 1, 2"#,
    },
    Question {
        name: "after_failures",
        why: "what users ran after several failed logons of theirs",
        sql: r#"WITH bursts AS (
  SELECT "user.name" AS name, "src_endpoint.ip" AS ip, count(*) AS failed, max(time) AS last
  FROM authentication WHERE status_id = 2 AND time >= '2026-03-17T00:00:00Z'
  GROUP BY 1, 2 HAVING count(*) >= 3)
SELECT b.name, b.ip, b.failed, count(*) AS programs
FROM bursts b JOIN process_activity p ON p."actor.user.name" = b.name AND p.time > b.last
WHERE p.time >= '2026-03-17T00:00:00Z'
GROUP BY 1, 2, 3 ORDER BY 3 DESC, 1, 2 LIMIT 50"#,
    },
    Question {
        name: "indicator",
        why: "who talked to an address in a month",
        sql: r#"SELECT "device.hostname", "dst_endpoint.port", count(*) AS connections, min(time) AS first, max(time) AS last
FROM network_activity
WHERE "dst_endpoint.ip" = '198.18.231.77'
GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT 100"#,
    },
];
