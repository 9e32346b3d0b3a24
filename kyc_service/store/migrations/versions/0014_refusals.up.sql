-- The upkeep removes what has expired, of all tenants; a row that somebody is just removing is left to them.
create index inbox_expired on inbox (expires_at);
grant update on inbox to kyc_system;
