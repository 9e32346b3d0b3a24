drop function watched_tenants;
drop table suppressions, alerts, outcomes, campaigns, enrolments;
