-- Of all deployments that were let in, how many name an image by a digest whose evidence passed.
SELECT * FROM slo WHERE name = 'attested_deployments'
