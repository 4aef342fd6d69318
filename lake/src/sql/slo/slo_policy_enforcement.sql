-- How many requests were rejected, and how many of those that should have been.
SELECT * FROM slo WHERE name IN ('policy_rejections', 'policy_recall')
