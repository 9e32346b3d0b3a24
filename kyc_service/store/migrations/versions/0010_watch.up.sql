-- Alerts and decisions about hits are events of the application's own log; a rehearsal writes nothing.
drop table suppressions, alerts;
alter table campaigns drop column dry_run, drop column closed_at;

-- Whoever destroys a person's key takes along, in the same commit, that they are watched and what was found.
alter table outcomes drop constraint outcomes_tenant_application_fkey,
  add constraint outcomes_tenant_application_fkey
    foreign key (tenant, application) references enrolments (tenant, application) on delete cascade;
create index enrolments_of_person on enrolments (tenant, subject);
create function forget_watch() returns trigger language plpgsql set search_path from current as $$
begin
  delete from enrolments where tenant = new.tenant and subject = new.subject;
  return new;
end $$;
create trigger watch_ends_with_the_key after update of wrapped on keys
  for each row when (new.class = 'cdd' and new.wrapped is null and old.wrapped is not null)
  execute function forget_watch();
do $$ begin
  execute format('grant create on schema %I to kyc_owner', current_schema());
  alter function forget_watch owner to kyc_owner;
  execute format('revoke create on schema %I from kyc_owner', current_schema());
end $$;
