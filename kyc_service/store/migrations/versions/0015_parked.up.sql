-- How many commands lie parked at each broker, by the last count of an intake, and since when there were always some.
-- Belongs to no tenant: a command that could not be read has none.
create table parked (
  broker     text        primary key,
  waiting    bigint      not null check (waiting >= 0),
  since      timestamptz check ((since is not null) = (waiting > 0)),
  counted_at timestamptz not null
);
do $$ begin execute format('grant create on schema %I to kyc_owner', current_schema()); end $$;
alter table parked owner to kyc_owner;
grant select, insert, update on parked to kyc_app;
grant select on parked to kyc_system;
do $$ begin execute format('revoke create on schema %I from kyc_owner', current_schema()); end $$;
