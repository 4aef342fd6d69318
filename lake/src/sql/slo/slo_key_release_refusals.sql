-- Of the decisions on keys that were asked for, how many were refusals.
SELECT * FROM slo WHERE name = 'key_release_refusals'
