drop function backlogs;
drop function settle_log;
drop index events_published;
drop table checkpoints;
